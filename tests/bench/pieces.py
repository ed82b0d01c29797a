"""The inner pieces by themselves, by Google Benchmark. They have no budgets: they say where to look when one is
missed."""

import json
import os
import statistics
import subprocess
import sys

import machine
import report

DEADLINE = 600.0


def run(context):
    """Returns no rows, and for each piece a list of its figures, those of each round."""
    seconds = 0.02 if context.quick else 0.5
    print(f"== pieces, {seconds} s each", file=sys.stderr)
    # In random order, so that what else the machine does hits no piece in all rounds.
    command = [
        os.path.join(context.programs, "pieces_bench"), "--benchmark_format=json",
        f"--benchmark_min_time={seconds}", f"--benchmark_repetitions={context.rounds}",
        "--benchmark_enable_random_interleaving=true",
    ]
    environment = {**os.environ, "TMPDIR": context.tmpfs}  # what they read is there
    with machine.Others() as others:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=DEADLINE)
    # The rest of what it prints describes this machine, by name and path.
    return [], {"other_cpu_cores": others.cores, "pieces": figures(json.loads(done.stdout)["benchmarks"])}


def figures(benchmarks):
    """What Google Benchmark measured, by name."""
    found = {}
    for each in benchmarks:
        if each["run_type"] != "iteration":
            continue  # what it makes of the repetitions
        name = each["run_name"]
        if each.get("error_occurred"):
            raise RuntimeError(f"pieces_bench, {name}: {each['error_message']}")
        found.setdefault(name, []).append(
            {
                "cpu_ns": each["cpu_time"] * NANOSECONDS[each["time_unit"]],
                "bytes_per_second": each.get("bytes_per_second"),
            }
        )
    return found


NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def in_order(name):
    """By piece and number: "read: a new volume/files:16" comes before "files:1000"."""
    piece, _, argument = name.partition("/")
    return piece, int(argument.rpartition(":")[2] or 0)


def table(raw):
    """What run() measured, as text, for below the table of budgets."""
    lines = [["piece", "time", "", "MB/s"]]
    for name, runs in sorted(raw["pieces"].items(), key=lambda item: in_order(item[0])):
        times = [run["cpu_ns"] / 1e3 for run in runs]
        rates = [run["bytes_per_second"] for run in runs if run["bytes_per_second"]]
        lines.append(
            [
                name,
                f"{report.number(statistics.median(times))} us",
                f"({report.number(min(times))}-{report.number(max(times))})" if len(times) > 1 else "",
                report.number(statistics.median(rates) / 1e6) if rates else "",
            ]
        )
    return report.columns(lines)
