"""What many idle watchers cost in time: nothing changes, and nobody asks for heartbeats."""

import sys

import watching
from report import Row

SOURCES = 10
BUDGET_PERCENT = 0.2  # of one processor


def run(context):
    """Returns the rows, and the results that they are made of."""
    watchers = 200 if context.quick else 1000
    seconds = 10 if context.quick else 60
    print(f"== {watchers} idle watchers of {SOURCES} sources for {seconds} s", file=sys.stderr)
    results = [
        watching.run(
            context, "confstream", {"sources": SOURCES}, watchers=watchers, connections=watchers, bytes=1024, updates=0,
            still=seconds,
        )
        for _ in range(context.rounds)
    ]
    name = f"{watchers} idle watchers, {SOURCES} sources, {seconds} s"
    used = [100 * run["still_cores"] for run in results]
    return [Row(name, "of a processor", "%", used, "budget", [BUDGET_PERCENT], 1.0)], results
