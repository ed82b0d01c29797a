#!/usr/bin/python3
"""Runs benchmarks and prints the budgets of confstream with the measured ratios beside them; ./dev bench calls it.

A benchmark is a module with run(context), which returns (rows, raw): rows for the table (report.Row), and all results
as JSON can hold them. It may have table(raw), which is printed below the budgets. A benchmark is no test: nothing here
fails because something was slow.
"""

import argparse
import dataclasses
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

import delta
import fanout
import history
import idle_cost
import idle_memory
import pieces
import plot
import propagation
import report
import servers
import stalled
import tree

BENCHMARKS = {
    "propagation": propagation,
    "fanout": fanout,
    "idle-memory": idle_memory,
    "stalled": stalled,
    "delta": delta,
    "idle-cost": idle_cost,
    "tree": tree,
    "history": history,
    "pieces": pieces,
}


ROUNDS = 5


@dataclasses.dataclass
class Context:
    programs: str  # the directory of confstreamd, watch_load and the bare servers
    tmpfs: str  # where volumes and etcd's data go
    rounds: int
    quick: bool
    # Figures of a run that are told while the benchmarks go on.
    shown: tuple = (
        "median_ms", "last_ms", "server_cpu_us_per_delivery", "client_cpu_us_per_delivery", "idle_bytes_per_watcher",
        "rss_after_bytes", "skipped", "other_cpu_cores",
    )


def main():
    arguments = parse_arguments()
    check_tmpfs(arguments.tmpfs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through the `with` blocks, which end the servers
    context = Context(arguments.programs, arguments.tmpfs, 1 if arguments.quick else arguments.rounds, arguments.quick)
    began = time.time()
    rows, raw = [], {}
    for name in arguments.names or BENCHMARKS:
        found, raw[name] = BENCHMARKS[name].run(context)
        rows += found
    facts = describe(arguments, context, began)
    facts["other_cpu_cores"] = noise(raw)
    text = as_text(rows, raw, facts)
    print(text)
    run_of_all = as_json(rows, raw, facts)
    if arguments.json:
        write(arguments.json, run_of_all)
    if arguments.keep:
        keep(arguments.keep, text, run_of_all)


def as_text(rows, raw, facts):
    """The budgets, the tables of the benchmarks that have one, and what the figures depend on."""
    tables = [report.table(rows)] if rows else []
    tables += [BENCHMARKS[name].table(found) for name, found in raw.items() if hasattr(BENCHMARKS[name], "table")]
    return "\n\n".join([*tables, "\n".join(f"{name}: {value}" for name, value in facts.items())])


def as_json(rows, raw, facts):
    """Every figure, a list of numbers on one line."""
    text = json.dumps({"facts": facts, "rows": [row.as_dict() for row in rows], "raw": raw}, indent=1)
    return re.sub(r'\[\n([^\[\]{}"]*)\n *\]', lambda numbers: f"[{' '.join(numbers[1].split())}]", text)


def keep(directory, text, run_of_all):
    """Writes what docs/benchmarks.md shows: the tables, every figure, and the plots that these are enough for."""
    os.makedirs(directory, exist_ok=True)
    write(os.path.join(directory, "run.txt"), text)
    write(os.path.join(directory, "run.json"), run_of_all)
    plot.write_all(json.loads(run_of_all), directory)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(BENCHMARKS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="one round, smaller: to see that all works")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how often the servers alternate (default {ROUNDS})"
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure there")
    parser.add_argument("--keep", metavar="DIRECTORY", help="write run.txt, run.json and plots there")
    parser.add_argument("--programs", default="build/bin", help="the directory of the programs")
    parser.add_argument("--tmpfs", default="/dev/shm", help="a directory on a tmpfs, for volumes and etcd's data")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name}; there are {', '.join(BENCHMARKS)}")
    if arguments.rounds < 1:
        parser.error("--rounds is to be 1 or more")
    return arguments


def check_tmpfs(directory):
    found = subprocess.run(
        ["stat", "--file-system", "--format=%T", directory], capture_output=True, text=True, check=False
    )
    if found.stdout.strip() != "tmpfs":
        sys.exit(f"{directory} is not on a tmpfs, so a disk would be measured: name one that is with --tmpfs")


def command(arguments):
    """What to call for such a run; without paths, which are this machine's."""
    words = ["./dev", "bench", *arguments.names]
    if arguments.quick:
        words.append("--quick")
    elif arguments.rounds != ROUNDS:
        words += ["--rounds", str(arguments.rounds)]
    return " ".join(words)


def describe(arguments, context, began):
    """What the figures depend on."""
    return {
        "command": command(arguments),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
        "minutes": round((time.time() - began) / 60, 1),
        "rounds": context.rounds,
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "etcd": servers.etcd_version(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def noise(raw):
    """Median and highest of what other processes took of the machine during the runs, in processors."""
    found = []

    def collect(value):
        if isinstance(value, dict):
            # A run of watch_load without updates has no length.
            if "other_cpu_cores" in value and value.get("deliveries") != 0:
                found.append(value["other_cpu_cores"])
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(raw)
    return f"median {statistics.median(found):.2f}, at most {max(found):.2f}" if found else "not measured"


if __name__ == "__main__":
    main()
