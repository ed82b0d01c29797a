"""`confstream sync`: a directory that is one whole generation at every moment."""

import contextlib
import os
import random
import signal
import subprocess
import time
import unittest

from client import ask, await_watcher, run_client, start_client
from harness import EndToEndTest, Server, await_true
from volume import Volume, start_storm

KILLS = 200
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

    def test_killed_at_200_random_moments_the_target_is_always_one_whole_generation(self):
        code, _, errors = run_client(self.server, "sync", "demo", self.target, "--once")
        self.assertEqual(code, 0, errors)
        chance = random.Random(SEED)
        newest, moved, leftovers = 0, 0, 0
        swaps = 20000
        with start_storm(self.volume.path, 1, swaps, "5ms") as storm:
            for _ in range(KILLS):
                process = self.sync()
                time.sleep(chance.uniform(0, 0.12))  # the moment of the kill, not a wait
                process.send_signal(signal.SIGKILL)
                self.assertEqual(process.wait(), -signal.SIGKILL)
                number = self.number()
                self.assertGreaterEqual(number, newest, f"seed {SEED}")
                moved += number > newest
                leftovers += len(os.listdir(self.target)) != 4
                newest = number
            storm.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.volume.path, "..data_tmp"))  # the storm may have left it
        print(f"seed {SEED}: {moved} of {KILLS} runs changed the target, {leftovers} left something behind")
        self.assertGreater(moved, KILLS / 10)
        self.volume.swap({"a": f"number: {swaps}\n", "b": f"number: {swaps}\n"})
        await_true(lambda: run_client(self.server, "get", "demo", "a")[1] == f"number: {swaps}\n", "the last version")
        code, _, errors = run_client(self.server, "sync", "demo", self.target, "--once")
        self.assertEqual(code, 0, errors)
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
