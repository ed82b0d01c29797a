"""Readers that stall: what they cost the others, and the server."""

import statistics
import sys

import watching
from report import Row

STALLED = 10
BYTES = 256 << 10
WARM_UP = 110  # by then history holds as many versions as it may, and memory grows by it no more


def run(context):
    """Returns the rows, and the results that they are made of."""
    live, rate, updates = (20, 30, 40) if context.quick else (90, 10, 200)
    print(f"== {STALLED} readers that stall beside {live}, {BYTES >> 10} KiB, {updates} updates", file=sys.stderr)
    results = {"without": [], "with": []}
    for turn in range(context.rounds):
        # In turn, which goes first.
        for name, stalled in sorted({"without": 0, "with": STALLED}.items(), reverse=turn % 2 == 1):
            results[name].append(
                watching.run(
                    context, "confstream", watchers=live, connections=live, bytes=BYTES, rate=rate, updates=updates,
                    warm_up=WARM_UP, stalled=stalled,
                )
            )
    benchmark = f"{STALLED} stalled beside {live} live readers, {BYTES >> 10} KiB"

    def values(name):
        return [run["last_ms"] for run in results[name]]

    early, late = zip(*(ends_of(run["rss_bytes"]) for run in results["with"]))
    rows = [
        Row(benchmark, "last live watcher", "ms", values("with"), "none stalled", values("without"), 1.2),
        Row(benchmark, "memory, last tenth", "MiB", list(late), "second tenth", list(early), 1.1),
    ]
    return rows, results


def ends_of(rss_bytes):
    """Medians over the second and the last tenth of the updates, in MiB."""
    tenth = max(1, len(rss_bytes) // 10)
    return (
        statistics.median(rss_bytes[tenth : 2 * tenth]) / (1 << 20),
        statistics.median(rss_bytes[-tenth:]) / (1 << 20),
    )
