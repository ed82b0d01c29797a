#!/usr/bin/python3
"""Every client against the real confstreamd: swaps in kubelet's way, kills, restarts, and a server that is not there
yet.

Each test runs with each client; the kills have all clients on one server. Prints a table as run.py does.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import drivers
import run
from content import SOURCE, digest_of, view_digest_of
from driver import Driver
from protocol import BUILD, REPOSITORY

sys.path.insert(0, os.path.join(REPOSITORY, "tests", "e2e"))
from volume import Volume  # noqa: E402

DEADLINE = 60.0
KILLS = 20
LOGS = os.path.join(BUILD, "logs-real")


def needs(condition, text):
    if not condition:
        raise AssertionError(text)


def number_files(number):
    """Both files carry the number, so that a torn version shows."""
    return {"a.yaml": f"number: {number}\n", "dir/b.yaml": f"number: {number}\n"}


def free_port():
    """A port that nobody listens on, and that no outgoing connection is given: who tries again and again to reach a
    port of those would in the end reach itself."""
    while True:
        port = random.randrange(15000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Server:
    """A confstreamd that can be killed, and started again at the same place."""

    def __init__(self, directory, volume, state=False, socket_path=None):
        self.address = f"unix:{socket_path}" if socket_path else f"127.0.0.1:{free_port()}"
        self.admin = f"unix:{directory}/admin.sock"
        self.config = os.path.join(directory, "confstream.yaml")
        self._log_path = os.path.join(directory, "confstreamd.log")
        self._state = os.path.join(directory, "state") if state else None
        self.process = None
        self.configure({SOURCE: volume})

    def configure(self, sources):
        settings = {
            "listen": [self.address],
            "admin_listen": [self.admin],
            "sources": {name: {"path": path} for name, path in sources.items()},
        }
        if self._state:
            settings["state_dir"] = self._state
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(settings, file)

    def start(self):
        """Starts it and waits until it is ready."""
        before = self._logged()
        with open(self._log_path, "ab") as log:
            self.process = subprocess.Popen(
                [_program("confstreamd"), "--config", self.config, "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stderr=log,
            )
        end = time.monotonic() + DEADLINE
        while '"ready"' not in self._log()[before:]:
            needs(
                self.process.poll() is None, f"confstreamd ended with {self.process.returncode}: {self._log()[before:]}"
            )
            needs(time.monotonic() < end, "confstreamd is not ready")
            time.sleep(0.01)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self):
        self.process.terminate()
        needs(self.process.wait(DEADLINE) == 0, f"confstreamd ended with {self.process.returncode}")

    def watchers(self):
        """What `confstream who` tells of the clients."""
        return self._ask("who")["watchers"]

    def await_state(self, state):
        """Waits until `confstream status` has this state of the source."""
        end = time.monotonic() + DEADLINE
        while (now := self._ask("status")["sources"][0]["state"]) != state:
            needs(time.monotonic() < end, f"the source is {now}, not {state}")
            time.sleep(0.05)

    def _ask(self, command):
        output = subprocess.run(  # status exits with 1 when a source is DEGRADED
            [_program("confstream"), "--server", self.admin, command, SOURCE, "--output", "json"],
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        ).stdout
        return json.loads(output)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def _log(self):
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _logged(self):
        return len(self._log()) if os.path.exists(self._log_path) else 0


def _program(name):
    return os.path.join(os.environ.get("CONFSTREAM_PROGRAMS", os.path.join(REPOSITORY, "build", "bin")), name)


class Follower:
    """A client's driver, and a judge of the changes that it tells of."""

    def __init__(self, command, server, log_path, *flags):
        self.transcript = []
        self.driver = Driver(
            command,
            ["--target", server.address, "--source", SOURCE, *flags],
            log_path,
            lambda text: self.transcript.append(f"{time.monotonic():.3f} {text}"),
        )
        self.changes = []

    def change(self, deadline=DEADLINE, from_cache=False):
        """The next change. Raises AssertionError if it goes back, comes again, or does not follow the one before."""
        line = self.driver.take("change", deadline, skip=())
        old = self.changes[-1] if self.changes else None
        self.changes.append(line)
        needs(line["from_cache"] is from_cache, f"`from_cache` of {line}")
        needs((line["old_version"] is None) == (old is None), f"the old version of {line}")
        if old is not None and old["epoch"] == line["epoch"]:
            needs(old["version"] < line["version"], f"version {line['version']} came after {old['version']}")
        if old is not None:
            needs(old["view_digest"] != line["view_digest"], f"the same content twice: {line}")
        return line

    def change_to(self, files, deadline=DEADLINE, from_cache=False):
        """Takes changes up to the one whose files are these."""
        wanted = {path: digest_of(content.encode()) for path, content in files.items()}
        end = time.monotonic() + deadline
        while True:
            line = self.change(max(0.1, end - time.monotonic()), from_cache)
            if line["files"] == wanted:
                needs(
                    line["view_digest"] == view_digest_of({path: text.encode() for path, text in files.items()}),
                    f"the view digest of {line}",
                )
                return line

    def current(self):
        self.driver.write("current")
        return self.driver.take("current", DEADLINE)

    def fresh_at(self, version, what):
        end = time.monotonic() + DEADLINE
        while (line := self.current())["version"] != version or line["stale"]:
            needs(time.monotonic() < end, f"{what}: {line}")
            time.sleep(0.05)

    def close(self):
        self.driver.write("close")
        self.driver.take("closed", DEADLINE)
        needs(self.driver.wait_exit(DEADLINE) == 0, "the driver did not exit with 0")
        changes = [line for line in self.driver.left() if line["event"] == "change"]
        needs(not changes, f"changes that nobody made: {changes}")


class Test:
    """What each test has: a directory, a volume, a server, and followers that end with it."""

    def __init__(self, directory, commands):
        self.directory = directory
        self.commands = commands  # name -> command
        self.volume = Volume(os.path.join(directory, "volume"), number_files(1))
        self.server = None
        self.followers = []

    def serve(self, **options):
        self.server = Server(self.directory, self.volume.path, **options)
        return self.server

    def follow(self, name, *flags):
        log_path = os.path.join(self.directory, f"{name}-{len(self.followers)}.log")
        follower = Follower(self.commands[name], self.server, log_path, *flags)
        self.followers.append(follower)
        return follower

    def end(self):
        for follower in self.followers:
            follower.driver.kill()
        if self.server is not None:
            self.server.close()


def follows_swaps(test, name):
    """Every kind of change arrives: content, new files, files that go, and many at once."""
    server = test.serve()
    server.start()
    follower = test.follow(name)
    first = follower.change_to(number_files(1))
    needs(follower.driver.take("settled", DEADLINE)["version"] == first["version"], "what wait() returned")
    for files in (number_files(2), {**number_files(2), "new": "x"}, {"a.yaml": "number: 2\n"}, {"other": "y"}):
        test.volume.swap(files)
        follower.change_to(files)
    for number in range(3, 60):
        test.volume.swap(number_files(number))
    line = follower.change_to(number_files(59))
    follower.fresh_at(line["version"], "after many swaps")
    follower.close()


def unix_socket(test, name):
    """All the same over a Unix socket, which a new server makes anew."""
    server = test.serve(socket_path=os.path.join(test.directory, "c.sock"))
    server.start()
    follower = test.follow(name, "--mode", "snapshot")
    follower.change_to(number_files(1))
    server.terminate()
    server.start()
    test.volume.swap(number_files(2))
    follower.change_to(number_files(2))
    follower.close()


def large(test, name):
    """20 MiB in fragments, and a delta of a file of 5 MiB."""
    files = {"large": "0123456789abcdef" * (1 << 20), "middle": "x" * (4 << 20), "small": "1"}
    test.volume.swap(files)
    server = test.serve()
    server.start()
    follower = test.follow(name)
    follower.change_to(files)
    files["middle"] = "y" * (5 << 20)
    test.volume.swap(files)
    follower.change_to(files)
    follower.close()


def views(test, name):
    """A view wakes for its files only, and says which globs select nothing."""
    server = test.serve()
    server.start()
    follower = test.follow(name, "--glob", "a.*", "--glob", "absent")
    line = follower.change()
    needs(set(line["files"]) == {"a.yaml"} and line["missing_globs"] == ["absent"], f"the view is {line}")
    test.volume.swap({**number_files(1), "dir/b.yaml": "number: 2\n"})
    test.volume.swap({"a.yaml": "number: 3\n", "absent": "is here"})
    while (line := follower.change())["missing_globs"]:
        needs(set(line["files"]) == {"a.yaml"}, f"the view is {line}")
    needs(set(line["files"]) == {"a.yaml", "absent"}, f"the view is {line}")
    follower.close()


def broken_content(test, name):
    """Content that breaks a rule never arrives."""
    server = test.serve()
    server.start()
    follower = test.follow(name)
    follower.change_to(number_files(1))
    test.volume.swap({"a.yaml": "number: [", "dir/b.yaml": "number: 2\n"})
    server.await_state("DEGRADED")
    test.volume.swap(number_files(3))
    line = follower.change()
    needs(line["files"]["a.yaml"] == digest_of(b"number: 3\n"), f"broken content arrived: {line}")
    follower.close()


def outcomes(test, name):
    """`confstream who` tells what became of a version at the client."""
    server = test.serve()
    server.start()
    follower = test.follow(name, "--reject", "number: 2")
    follower.change_to(number_files(1))

    def told(outcome, version, reason):
        end = time.monotonic() + DEADLINE
        while True:
            watchers = server.watchers()
            reports = [watcher.get("last_report", {}) for watcher in watchers]
            if any(
                report.get("outcome") == outcome
                and report.get("version") == version
                and reason in report.get("reason", "")
                for report in reports
            ):
                return
            needs(time.monotonic() < end, f"who tells {watchers}")
            time.sleep(0.1)

    told("APPLIED", follower.changes[-1]["version"], "")
    test.volume.swap(number_files(2))
    told("REJECTED", follower.change_to(number_files(2))["version"], "rejected: number: 2")
    test.volume.swap(number_files(3))
    told("APPLIED", follower.change_to(number_files(3))["version"], "")
    follower.close()


def source_removed(test, name):
    """A source that is removed ends the watch; so does one that never was."""
    other = Volume(os.path.join(test.directory, "other"), {"x": "y"})
    server = test.serve()
    server.start()
    follower = test.follow(name)
    follower.change_to(number_files(1))
    server.configure({"other": other.path})
    server.process.send_signal(signal.SIGHUP)
    needs(follower.driver.take("ended", DEADLINE)["code"] == "NOT_FOUND", "the code of the end")
    needs(follower.driver.wait_exit(DEADLINE) == 0, "the driver's exit code")
    follower = test.follow(name)
    needs(follower.driver.take("ended", DEADLINE)["code"] == "NOT_FOUND", "the code of the end")


def restart_without_state(test, name):
    """A server that was killed and remembers nothing is no change, if its content is the same; its versions count."""
    server = test.serve()
    server.start()
    follower = test.follow(name)
    test.volume.swap(number_files(2))
    test.volume.swap(number_files(3))
    follower.change_to(number_files(3))
    epoch = follower.changes[-1]["epoch"]
    server.kill()
    server.start()
    follower.fresh_at(1, "after the restart")
    server.terminate()
    test.volume.swap(number_files(4))
    server.start()
    line = follower.change_to(number_files(4))
    needs(line["epoch"] != epoch and line["version"] == 1, f"the version of the new server: {line}")
    follower.close()


def down_at_start(test, name):
    """The server is down at the start: the copy on disk is served, stale, and the client catches up when the server
    comes.
    """
    cache = os.path.join(test.directory, "cache")
    os.mkdir(cache)
    server = test.serve(state=True)
    server.start()
    follower = test.follow(name, "--cache-dir", cache)
    follower.change_to(number_files(1))
    test.volume.swap(number_files(2))
    follower.change_to(number_files(2))
    needs(not follower.driver.take("settled", DEADLINE)["stale"], "stale with a server")
    end = time.monotonic() + DEADLINE
    while b"number: 2" not in b"".join(open(os.path.join(cache, file), "rb").read() for file in os.listdir(cache)):
        needs(time.monotonic() < end, "the copy on disk does not get the second version")
        time.sleep(0.05)
    follower.close()
    server.kill()
    follower = test.follow(name, "--cache-dir", cache, "--wait", "1")
    line = follower.change_to(number_files(2), from_cache=True)
    settled = follower.driver.take("settled", DEADLINE)
    needs(settled["stale"] and settled["version"] == line["version"], f"wait() returned {settled}")
    current = follower.current()
    needs(current["stale"] and current["version"] == line["version"], f"current() is {current}")
    test.volume.swap(number_files(3))
    server.start()
    line = follower.change_to(number_files(3))
    follower.fresh_at(line["version"], "when the server came")
    follower.close()


def kills(test, *names):
    """kill -9 of the server, twenty times, under a stream of swaps: nobody sees a version twice or backwards, all end
    at the newest.
    """
    server = test.serve(state=True)
    server.start()
    followers = {name: test.follow(name) for name in names}
    for follower in followers.values():
        follower.change()
    stop = threading.Event()
    last = [1]

    def swap():
        while not stop.is_set():
            last[0] += 1
            test.volume.swap(number_files(last[0]))
            time.sleep(random.uniform(0.005, 0.05))

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.2, 1.0))
            server.kill()
            time.sleep(random.choice((0, 0, 0.3)))
            server.start()
    finally:
        stop.set()
        swapper.join()
    last[0] += 1
    test.volume.swap(number_files(last[0]))
    counts = {}
    known = {digest_of(f"number: {number}\n".encode()): number for number in range(1, last[0] + 1)}
    for name, follower in followers.items():
        try:
            line = follower.change_to(number_files(last[0]))
            follower.fresh_at(line["version"], "at the end")
            for change in follower.changes:
                needs(len(set(change["files"].values())) == 1, f"torn: {change}")
            numbers = [known[change["files"]["a.yaml"]] for change in follower.changes]
            needs(numbers == sorted(set(numbers)), f"contents came twice or backwards: {numbers}")
            epochs = {change["epoch"] for change in follower.changes}
            needs(len(numbers) > KILLS / 4, f"only {len(numbers)} changes arrived")
            counts[name] = f"{len(numbers)} changes, {len(epochs)} epoch(s)"
            follower.close()
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    print(f"{KILLS} kills, {last[0]} swaps: {counts}", flush=True)


EACH = (
    down_at_start,
    restart_without_state,
    large,
    follows_swaps,
    unix_socket,
    views,
    broken_content,
    outcomes,
    source_removed,
)


def play(function, names, commands):
    """Runs a test with these clients; returns a run.Result."""
    begin = time.monotonic()
    directory = tempfile.mkdtemp(prefix="conf-")
    logs = os.path.join(LOGS, function.__name__, "-".join(names))
    shutil.rmtree(logs, ignore_errors=True)
    test, problem = None, ""
    try:
        test = Test(directory, commands)
        function(test, *names)
    except AssertionError as error:
        problem = str(error) or traceback.format_exc()
    except Exception:  # the suite's own mistake: it must not look like success
        problem = traceback.format_exc()
    finally:
        if test is not None:
            test.end()
    if problem:
        os.makedirs(logs, exist_ok=True)
        with open(os.path.join(logs, "test.log"), "w", encoding="utf-8") as file:
            for number, follower in enumerate(test.followers if test else ()):
                file.write(f"driver {number}:\n" + "\n".join(line[:1000] for line in follower.transcript) + "\n")
            file.write(problem + "\n")
        for name in os.listdir(directory):
            if name.endswith(".log"):
                shutil.copy(os.path.join(directory, name), logs)
    shutil.rmtree(directory, ignore_errors=True)
    return run.Result(problem, time.monotonic() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--client", action="append", default=[], help="only this client; repeatable")
    parser.add_argument("--test", action="append", default=[], help="only this test; repeatable")
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="so many at once (%(default)s)")
    arguments = parser.parse_args()
    known = {**drivers.CLIENTS, drivers.REFERENCE.name: drivers.REFERENCE}
    tests = [function for function in (kills, *EACH) if not arguments.test or function.__name__ in arguments.test]
    unknown = set(arguments.client) - set(known) or set(arguments.test) - {function.__name__ for function in tests}
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    for program in ("confstreamd", "confstream"):
        if not os.access(_program(program), os.X_OK):
            parser.error(f"there is no {_program(program)}: ./dev build makes it")
    begin, results, names = time.monotonic(), {}, []
    for client in [known[name] for name in arguments.client or drivers.CLIENTS]:
        problem = drivers.problem_of(client)
        if problem is None:
            names.append(client.name)
        else:
            print(f"FAILED {problem}", flush=True)
            results.update({(function.__name__, client.name): run.Result(problem, 0.0) for function in tests})
    commands = {name: drivers.command_of(known[name]) for name in names}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        futures = {}
        for function in tests:
            for group in [names] if function is kills and names else [[name] for name in names]:
                futures[pool.submit(play, function, group, commands)] = (function, group)
        for future in concurrent.futures.as_completed(futures):
            (function, group), result = futures[future], future.result()
            results.update({(function.__name__, name): result for name in group})
            if result.problem:
                logs = os.path.relpath(os.path.join(LOGS, function.__name__, "-".join(group)))
                print(
                    f"FAILED {function.__name__} {' '.join(group)}: {result.problem}\n       ({logs}/test.log)",
                    flush=True,
                )
    columns = list(arguments.client or drivers.CLIENTS)
    print(run.table([function.__name__ for function in tests], columns, results))
    failed = sum(1 for result in results.values() if result.problem)
    print(f"{len(results)} runs, {failed} failed, {time.monotonic() - begin:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
