"""Fan-out: one update to many watchers; against etcd, and against the bare servers."""

import dataclasses
import sys

import watching
from report import Row, better

SERVERS = ["confstream", "etcd", *watching.BARE]


@dataclasses.dataclass
class Case:
    name: str
    load: dict
    budgets: list  # of (what, figure of watch_load, factor to show it in `unit`, unit, ratio to etcd[, prize])


MIB = 1 / (1 << 20)

CASES = [
    Case(
        "1000 watchers, 1000 connections, 32 KiB, 2/s",
        {"watchers": 1000, "connections": 1000, "bytes": 32 << 10, "rate": 2, "updates": 20, "warm_up": 4},
        [
            ("median watcher", "median_ms", 1, "ms", 0.33),
            ("last watcher", "last_ms", 1, "ms", 0.45),
            ("CPU per delivery", "server_cpu_us_per_delivery", 1, "us", 0.45),
            ("memory after", "rss_after_bytes", MIB, "MiB", 0.2),
        ],
    ),
    Case(
        "1000 watchers, 1000 connections, 1 KiB, 10/s",
        {"watchers": 1000, "connections": 1000, "bytes": 1 << 10, "rate": 10, "updates": 100, "warm_up": 10},
        [
            ("last watcher", "last_ms", 1, "ms", 0.7),
            ("CPU per delivery", "server_cpu_us_per_delivery", 1, "us", 0.65),
        ],
    ),
    Case(
        "10 000 streams, 100 connections, 1 KiB, 1/s",
        {"watchers": 10000, "connections": 100, "bytes": 1 << 10, "rate": 1, "updates": 12, "warm_up": 3},
        [
            ("last watcher", "last_ms", 1, "ms", 1.0),
            ("CPU per update", "server_cpu_ms_per_update", 1, "ms", 1.0),
            ("last watcher", "last_ms", 1, "ms", 0.8, True),
            ("CPU per update", "server_cpu_ms_per_update", 1, "ms", 0.6, True),
        ],
    ),
]


def run(context):
    """Returns the rows, and the results that they are made of."""
    rows, raw = [], {}
    for case in CASES:
        name, load = case.name, dict(case.load)
        if context.quick:
            name = f"a fifth of {name}"
            load["watchers"] //= 5
            load["connections"] = max(1, load["connections"] // 5)
            load["updates"] = max(3, load["updates"] // 5)
            load["warm_up"] = max(1, load["warm_up"] // 3)
        print(f"== fan-out: {name}", file=sys.stderr)
        runs = watching.run_rounds(context, SERVERS, **load)
        raw[name] = runs
        for what, figure, factor, unit, budget, *prize in case.budgets:
            def values(runs_of_one, figure=figure, factor=factor):
                return [run[figure] * factor for run in runs_of_one]

            rows.append(
                Row(
                    benchmark=name,
                    what=what,
                    unit=unit,
                    confstream=values(runs["confstream"]),
                    peer_name="etcd",
                    peer=values(runs["etcd"]),
                    budget=budget,
                    bare=[value * factor for value in better(runs, watching.BARE, figure)],
                    prize=bool(prize),
                )
            )
    return rows, raw
