"""The command `confstream`: run to its end, or while a test lasts."""

import json
import os
import subprocess

from harness import DEADLINE, await_true


def run_client(server, *arguments):
    """Runs it to its end: (exit code, standard output, standard error)."""
    result = subprocess.run(
        [os.environ["CONFSTREAM"], "--server", server.address, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


def ask(server, *arguments):
    """What a command prints as JSON. Raises AssertionError if it fails."""
    code, output, errors = run_client(server, *arguments, "--output", "json")
    if code != 0:
        raise AssertionError(f"confstream {arguments} ended with {code}: {errors}")
    return json.loads(output)


def start_client(server, *arguments, **options):
    """Starts it in the background."""
    return subprocess.Popen(
        [os.environ["CONFSTREAM"], "--server", server.address, *arguments],
        stdin=subprocess.DEVNULL,
        text=True,
        **options,
    )


def await_watcher(server, condition, what):
    """The first stream of `demo`, as `confstream who` has it, for which `condition` holds."""

    def found():
        watchers = ask(server, "who", "demo")["watchers"]
        return next((watcher for watcher in watchers if condition(watcher)), None)

    return await_true(found, what)
