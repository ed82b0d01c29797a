"""A history on a disk that fills up. Needs root, for a small tmpfs."""

import os
import random
import statistics
import subprocess
import time
import unittest

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true
from volume import Volume

RECORDED, FAILING = pb.HISTORY_STATE_RECORDED, pb.HISTORY_STATE_FAILING


class FullDiskTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(7)
        self.volume = Volume(self.path("volume"), {"a": "0"})
        self.state = self.path("state")
        os.mkdir(self.state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.state], check=True)
        self.addCleanup(subprocess.run, ["umount", self.state], check=True)

    def history(self, server):
        return server.stub.ListSources(pb.ListSourcesRequest()).sources[0].status.history

    def publish(self, stream, count):
        """Swaps, each after the one before was received. Returns the last event, and how long each took in seconds."""
        seconds = []
        for _ in range(count):
            content = self.random.randbytes(20000).hex()
            began = time.monotonic()
            self.volume.swap({"a": content})
            event = stream.until(lambda event, content=content: event.files["a"] == content.encode())
            seconds.append(time.monotonic() - began)
        return event, seconds

    def test_serving_goes_on_on_a_full_disk_the_status_says_so_and_history_goes_on_when_there_is_space(self):
        server = self.serve(state_dir=self.state)
        stream = self.watch(server)
        stream.next_version()
        _, healthy = self.publish(stream, 30)
        self.assertEqual(self.history(server).state, RECORDED)
        ballast = os.path.join(self.state, "ballast")
        with open(ballast, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))
        self.publish(stream, 30)
        await_true(lambda: self.history(server).state == FAILING, "the full disk to be noticed")
        await_true(
            lambda: [event for event in list(stream.events) if event.status and event.status.history.state == FAILING],
            "the stream to be told",
        )
        problem = self.history(server).problem
        self.assertIn(self.state, problem)
        self.assertIn("room", problem)
        last, full = self.publish(stream, 30)
        self.assertEqual(self.history(server).state, FAILING)
        print(
            f"seconds from swap to client: {statistics.median(healthy):.4f} healthy (median of {len(healthy)}),"
            f" {statistics.median(full):.4f} full (median of {len(full)})"
        )

        os.unlink(ballast)
        await_true(lambda: self.history(server).state == RECORDED, "history to go on")
        await_true(lambda: self.history(server).recorded_version == last.version, "the last version to be recorded")
        server.close()
        again = self.watch(self.serve(state_dir=self.state), resume_token=last.token).next()
        self.assertEqual((again.kind, again.in_sync, again.token), ("heartbeat", True, last.token))


if __name__ == "__main__":
    unittest.main()
