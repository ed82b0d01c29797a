"""What an idle watcher costs in memory: one connection each, one message received, nothing under way."""

import sys

import watching
from report import Row, better

FIGURE = "idle_bytes_per_watcher"
SERVERS = ["confstream", "etcd", *watching.BARE]


def run(context):
    """Returns the rows, and the results that they are made of."""
    watchers = 200 if context.quick else 1000
    print(f"== memory of {watchers} idle watchers on as many connections", file=sys.stderr)
    runs = watching.run_rounds(context, SERVERS, watchers=watchers, connections=watchers, bytes=1 << 10, updates=0)

    def values(runs_of_one):
        return [run[FIGURE] / 1024 for run in runs_of_one]

    name = "memory per idle watcher"
    bare = [value / 1024 for value in better(runs, watching.BARE, FIGURE)]
    rows = [
        Row(name, "resident", "KiB", values(runs["confstream"]), "bare", bare, 1.2),
        Row(name, "resident", "KiB", values(runs["confstream"]), "etcd", values(runs["etcd"]), 0.4),
    ]
    return rows, runs
