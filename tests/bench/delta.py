"""One small file of a large snapshot changes: deltas, against a source that has that file only."""

import sys

import watching
from report import Row

FILE_BYTES = 1 << 10
OTHER_FILES = 15
OTHER_BYTES = (1 << 20) // OTHER_FILES
BUDGET_BYTES = 2048.0  # for each watcher and update


def run(context):
    """Returns the rows, and the results that they are made of."""
    watchers = 200 if context.quick else 1000
    updates = 5 if context.quick else 50
    print(f"== deltas: a file of 1 KiB of 1 MiB, {watchers} watchers", file=sys.stderr)
    load = {
        "watchers": watchers, "connections": watchers, "bytes": FILE_BYTES, "rate": 5, "updates": updates, "warm_up": 5,
    }
    results = {"small": [], "large": []}
    for _ in range(context.rounds):
        results["small"].append(watching.run(context, "confstream", **load))
        results["large"].append(
            watching.run(
                context, "confstream", **load, deltas=True, other_files=OTHER_FILES, other_bytes=OTHER_BYTES
            )
        )
    benchmark = f"1 KiB of 1 MiB changes, DELTA, {watchers} watchers"

    def values(name, figure):
        return [run[figure] for run in results[name]]

    rows = [
        Row(
            benchmark, "a message", "bytes", values("large", "received_bytes_per_delivery"), "budget", [BUDGET_BYTES],
            1.0,
        ),
        Row(benchmark, "last watcher", "ms", values("large", "last_ms"), "1 KiB alone", values("small", "last_ms"), 1.3),
    ]
    return rows, results
