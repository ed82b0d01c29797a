"""`confstream sync`: a directory that is one whole generation at every moment."""

import contextlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import threading
import time
import unittest

from client import ask, await_watcher, run_client, start_client
from harness import EndToEndTest, Server, await_true
from volume import Volume, start_storm

KILLS = 200
# Where every change waits for a disk that others keep busy, fewer have to do after this many seconds.
ENOUGH = 120.0
FEWEST_KILLS = 40
SEED = int(os.environ.get("CONFSTREAM_SEED", random.randrange(1 << 32)))


def generation(path):
    """All files of the generation that `..data` leads to, resolved once: relative path -> bytes."""
    root = os.path.join(path, os.readlink(os.path.join(path, "..data")))
    files = {}
    for directory, _, names in os.walk(root):
        for name in names:
            full = os.path.join(directory, name)
            with open(full, "rb") as file:
                files[os.path.relpath(full, root)] = file.read()
    return files


class Reader:
    """Reads a target all the while, as a program does that knows nothing of `sync`.

    It may be slower than a whole change and lose the generation that it reads, but what it gets is of one generation,
    and complete if that is current still.
    """

    def __init__(self, path):
        self._path = path
        self._done = False
        self.read, self.lost, self.torn = 0, 0, []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._done = True
        self._thread.join()

    def _run(self):
        while not self._done:
            current = self._current()
            files = {}
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(os.path.join(self._path, current)):
                    with open(os.path.join(self._path, current, name), "rb") as file:
                        files[name] = file.read()
            complete = set(files) == {"a", "b"}
            mixed = len(set(files.values())) > 1
            if mixed or (not complete and self._current() == current):
                self.torn.append((current, files))
            self.read += complete
            self.lost += not complete

    def _current(self):
        """What `..data` leads to. It is always there."""
        try:
            return os.readlink(os.path.join(self._path, "..data"))
        except FileNotFoundError:
            self.torn.append("there was no ..data")
            return ""


class SyncTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "number: 0\n", "b": "number: 0\n"})
        self.server = self.serve(admin=True)
        self.target = self.path("target")

    def sync(self, *options, **popen):
        process = start_client(self.server, "sync", "demo", self.target, *options, stdout=subprocess.DEVNULL, **popen)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def number(self):
        """The number that all files of the target carry. Raises AssertionError if they are not one generation."""
        files = generation(self.target)
        contents = set(files.values())
        if set(files) != {"a", "b"} or len(contents) != 1:
            raise AssertionError(f"seed {SEED}: torn: {files}")
        return int(contents.pop().removeprefix(b"number: "))

    def sync_once(self, *options):
        """Runs it to its end; returns how many seconds that took."""
        begin = time.monotonic()
        code, output, errors = run_client(self.server, "sync", "demo", self.target, "--once", *options)
        self.assertEqual((code, errors), (0, ""), output)
        self.assertRegex(output, "  applied")
        return time.monotonic() - begin

    def seconds_of_a_run(self):
        """How long a run takes from its start until the first content is in place, on this disk."""

        def run():
            shutil.rmtree(self.target, ignore_errors=True)
            return self.sync_once()

        return statistics.median(run() for _ in range(5))

    def test_killed_at_200_random_moments_the_target_is_always_one_whole_generation(self):
        latest = max(0.12, 2 * self.seconds_of_a_run())
        chance = random.Random(SEED)
        reader = Reader(self.target)
        self.addCleanup(reader.stop)
        end = time.monotonic() + ENOUGH
        newest, moved, leftovers, kills = 0, 0, 0, 0
        swaps = 20000
        with start_storm(self.volume.path, 1, swaps, "5ms") as storm:
            while kills < FEWEST_KILLS or (kills < KILLS and time.monotonic() < end):
                process = self.sync()
                time.sleep(chance.uniform(0, latest))  # the moment of the kill, not a wait
                process.send_signal(signal.SIGKILL)
                self.assertEqual(process.wait(), -signal.SIGKILL)
                number = self.number()
                self.assertGreaterEqual(number, newest, f"seed {SEED}")
                moved += number > newest
                leftovers += len(os.listdir(self.target)) != 4
                newest = number
                kills += 1
            storm.kill()
        reader.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.volume.path, "..data_tmp"))  # the storm may have left it
        print(
            f"seed {SEED}: {moved} of {kills} runs changed the target, {leftovers} left something behind;"
            f" the reader read {reader.read} generations and lost {reader.lost}"
        )
        self.assertEqual(reader.torn, [], f"seed {SEED}")
        self.assertGreater(reader.read, kills)
        self.assertGreater(moved, kills / 10, "the kills came too early to mean anything")
        self.assertGreater(leftovers, kills / 10, "the kills never hit a change under way")
        self.volume.swap({"a": f"number: {swaps}\n", "b": f"number: {swaps}\n"})
        await_true(lambda: run_client(self.server, "get", "demo", "a")[1] == f"number: {swaps}\n", "the last version")
        self.sync_once()
        self.assertEqual(self.number(), swaps)
        self.assertEqual(len(os.listdir(self.target)), 4, "leftovers are gone")

    def test_a_server_of_the_target_serves_the_same_digest_and_sees_every_change_as_a_commit(self):
        self.sync()
        await_true(lambda: os.path.exists(os.path.join(self.target, "..data")), "the first generation")
        os.mkdir(self.path("second"))
        # A change that were not a commit point would wait for longer than this test may.
        second = self.serve_at("second", {"demo": {"path": self.target, "settle": "30s", "max_delay": "1m"}})
        stream = self.watch(second)
        for number in range(1, 6):
            self.volume.swap({"a": f"number: {number}\n", "b": f"number: {number}\n"})
            event = stream.until(lambda event, number=number: event.files.get("a") == b"number: %d\n" % number)
            self.assertEqual(event.files["a"], event.files["b"])
        self.assertEqual(
            ask(second, "ls")["sources"][0]["digest"], ask(self.server, "ls")["sources"][0]["digest"]
        )

    def test_what_cannot_be_materialized_is_rejected_with_the_reason_for_everybody_to_see(self):
        self.sync("--client-id", "node-1")
        await_watcher(self.server, lambda w: w.get("last_report", {}).get("outcome") == "APPLIED", "the first report")
        with open(os.path.join(self.target, "mine"), "w", encoding="utf-8") as file:
            file.write("x")
        self.volume.swap({"a": "number: 1\n", "b": "number: 1\n"})
        watcher = await_watcher(self.server, lambda w: "last_rejection" in w, "the rejection")
        self.assertEqual(watcher["client_id"], "node-1")
        self.assertIn("`mine`", watcher["last_rejection"]["reason"])
        self.assertEqual(self.number(), 0)

    def test_with_globs_the_target_holds_the_files_that_match(self):
        self.sync_once("--glob", "b*")
        self.assertEqual(generation(self.target), {"b": b"number: 0\n"})
        self.sync_once()
        self.assertEqual(self.number(), 0)

    def test_after_a_restart_of_the_server_the_outcome_is_known_again(self):
        address = f"unix:{self.path('confstream.sock')}"
        server = self.serve(admin=True, listen=[address])
        process = start_client(server, "sync", "demo", self.target, stdout=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        before = await_watcher(server, lambda w: "last_report" in w, "a report")
        self.assertEqual(server.terminate(), 0)
        server = self.serve(admin=True, listen=[address])
        after = await_watcher(server, lambda w: "last_report" in w, "the report, told again")
        self.assertNotEqual(before["watch_id"], after["watch_id"])
        self.assertEqual(after["last_report"]["outcome"], "APPLIED")

    def serve_at(self, name, sources):
        server = Server(self.path(name), sources)
        self.addCleanup(server.close)
        return server


if __name__ == "__main__":
    unittest.main()
