#!/usr/bin/python3
"""Runs every scenario with every client, and prints the table of how each fared.

A client whose toolchain or driver is missing has failed, and is named. Logs of what failed are kept in
build/conformance/logs.
"""

import argparse
import concurrent.futures
import dataclasses
import fnmatch
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback

import drivers
import story
from protocol import BUILD

SCENARIOS = os.path.join(drivers.HERE, "scenarios")
LOGS = os.path.join(BUILD, "logs")


@dataclasses.dataclass
class Result:
    problem: str  # empty: all is well
    seconds: float


def play(scenario, name, registry, deadline=story.DEADLINE):
    """Plays a scenario with the client `name` of `registry` (name -> command); what is known of a failure is in LOGS."""
    begin = time.monotonic()
    directory = tempfile.mkdtemp(prefix="conf-")  # a short path: Unix sockets are in it
    logs = os.path.join(LOGS, name, scenario.name.replace("/", "_"))
    shutil.rmtree(logs, ignore_errors=True)
    played = story.Story(scenario, name, registry, directory, deadline)
    problem = ""
    try:
        played.play()
    except story.Broken as error:
        problem = str(error)
    except Exception:  # the suite's own mistake: it must not look like success
        problem = traceback.format_exc()
    if problem:
        os.makedirs(logs, exist_ok=True)
        with open(os.path.join(logs, "story.log"), "w", encoding="utf-8") as file:
            file.write("\n".join([scenario.shows, "", *played.transcript, "", problem, ""]))
        for file in os.listdir(directory):
            if file.endswith(".log"):
                shutil.copy(os.path.join(directory, file), logs)
    shutil.rmtree(directory, ignore_errors=True)
    return Result(problem, time.monotonic() - begin)


def play_all(pairs, registry, jobs, told):
    """Plays (scenario, client) pairs, several at once; calls `told` with each pair and its Result."""
    # Spawned, since gRPC does not live through a fork; a process each, since Python runs one thread at a time.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        # Those that load the machine, and those that can wait meanwhile, before those that should be served soon.
        for apart in (True, False):
            futures = {
                pool.submit(play, scenario, name, registry): (scenario, name)
                for scenario, name in pairs
                if scenario.apart is apart
            }
            for future in concurrent.futures.as_completed(futures):
                told(*futures[future], future.result())


def table(rows, names, results):
    """The table scenario x client as text. `results`: (row, name) -> Result."""
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"  {name:>14}" for name in names)]
    for row in sorted(rows):
        cells = []
        for name in names:
            result = results[row, name]
            cells.append("FAILED" if result.problem else f"ok {result.seconds:5.1f} s")
        lines.append(f"{row:<{width}}" + "".join(f"  {cell:>14}" for cell in cells))
    return "\n".join(lines)


def chosen(arguments, parser):
    """The scenarios and clients that the flags select."""
    known = {**drivers.CLIENTS, drivers.REFERENCE.name: drivers.REFERENCE}
    for name in arguments.client:
        if name not in known:
            parser.error(f"there is no client {name}; there are {', '.join(drivers.CLIENTS)}")
    clients = [known[name] for name in arguments.client or drivers.CLIENTS]
    scenarios = [
        scenario
        for scenario in story.scenarios_in(SCENARIOS)
        if not arguments.scenario or any(fnmatch.fnmatch(scenario.name, glob) for glob in arguments.scenario)
    ]
    if not scenarios:
        parser.error(f"no scenario is called {arguments.scenario}")
    return scenarios, clients


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", default=[], help="only this client; repeatable")
    parser.add_argument("--scenario", action="append", default=[], metavar="GLOB", help="only these; repeatable")
    parser.add_argument("--jobs", type=int, default=5 * (os.cpu_count() or 1), help="so many at once (%(default)s)")
    parser.add_argument("--list", action="store_true", help="print what each scenario shows, and end")
    arguments = parser.parse_args()
    scenarios, clients = chosen(arguments, parser)
    if arguments.list:
        for scenario in sorted(scenarios, key=lambda scenario: scenario.name):
            print(f"{scenario.name}\n    {scenario.shows} (promises {', '.join(map(str, scenario.promises))})")
        return 0

    begin = time.monotonic()
    results, ready = {}, []
    for client in clients:
        problem = drivers.problem_of(client)
        if problem is None:
            ready.append(client)
            continue
        print(f"FAILED {problem}", flush=True)
        for scenario in scenarios:
            results[scenario.name, client.name] = Result(problem, 0.0)
    registry = {client.name: drivers.command_of(client) for client in ready}

    def told(scenario, name, result):
        results[scenario.name, name] = result
        if result.problem:
            logs = os.path.relpath(os.path.join(LOGS, name, scenario.name))
            print(f"FAILED {scenario.name} {name}: {result.problem}\n       ({logs}/story.log)", flush=True)

    play_all([(scenario, name) for scenario in scenarios for name in registry], registry, arguments.jobs, told)
    print(table([scenario.name for scenario in scenarios], [client.name for client in clients], results))
    failed = sum(1 for result in results.values() if result.problem)
    print(f"{len(results)} runs, {failed} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
