"""Runs watch_load against each server in turn, several rounds, and keeps what it prints."""

import json
import os
import subprocess
import sys

from servers import SERVERS

BARE = ("callback", "queue")
DEADLINE = 300.0  # seconds, for one run


def run_rounds(context, servers, **load):
    """Each server started anew for each run, in an order that turns: {server: [result of each round]}.

    `load` are the flags of watch_load. A run in which a watcher did not end at the last update is an error: its figures
    would be about something else.
    """
    results = {server: [] for server in servers}
    for turn in range(context.rounds):
        for i in range(len(servers)):
            server = servers[(i + turn) % len(servers)]
            results[server].append(run(context, server, **load))
    return results


def run(context, server, settings=None, **load):
    """One run of watch_load with the flags `load`; `settings` are the server's."""
    with SERVERS[server](context.programs, context.tmpfs, **(settings or {})) as running:
        command = [
            os.path.join(context.programs, "watch_load"), "--server", running.kind, "--address", running.address,
            "--pid", str(running.process.pid), "--feed", running.feed,
        ]
        for name, value in load.items():
            flag = f"--{name.replace('_', '-')}"
            command += [flag] if value is True else [flag, str(value)]
        for source in getattr(running, "sources", ()):
            command += ["--source", source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"watch_load against {server} failed: {done.stderr.strip()} {done.stdout.strip()}")
    result = {**json.loads(done.stdout), "server": server}
    summary = ", ".join(f"{name} {result[name]:.4g}" for name in context.shown if name in result)
    print(f"   {server:10}  {summary}", file=sys.stderr, flush=True)
    return result
