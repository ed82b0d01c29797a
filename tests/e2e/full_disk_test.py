"""A history on a disk that fills up. Needs root, for a small tmpfs."""

import os
import random
import shutil
import statistics
import subprocess
import time
import unittest

from confstream.v1 import admin_service_pb2 as admin
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

    def served(self, server):
        return server.stub.GetSnapshot(pb.GetSnapshotRequest(source="demo"))

    def pin(self, server):
        pin = server.stub.ListSources(pb.ListSourcesRequest()).sources[0].status.pin
        return pin.version, pin.reason

    def fill_disk(self):
        """To the last page. Returns the path of the file to remove."""
        ballast = os.path.join(self.state, "ballast")
        with open(ballast, "wb", buffering=0) as file, self.assertRaises(OSError):
            while True:
                file.write(bytes(4096))
        return ballast

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
        ballast = self.fill_disk()
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

    def check_start_on_a_full_disk(self, end):
        """`end` ends a server whose disk is full, and by then nothing is mounted any more."""
        server = self.serve(state_dir=self.state, admin=True)
        stream = self.watch(server)
        stream.next_version()
        good, _ = self.publish(stream, 3)
        bad, _ = self.publish(stream, 1)
        request = admin.RollbackSnapshotRequest(source="demo", version=good.version, reason="bad")
        self.assertTrue(server.admin.RollbackSnapshot(request).persisted)
        last = stream.until(lambda event: event.version > bad.version)
        before = self.served(server).header
        ballast = self.fill_disk()
        end(server)
        shutil.rmtree(self.volume.path)

        server = self.serve(state_dir=self.state, admin=True)
        await_true(lambda: self.history(server).state == FAILING, "the full disk to be noticed")
        self.assertIn(f"make room in {self.state}", self.history(server).problem)
        served = self.served(server)
        self.assertEqual(served.snapshot.files[0].content, last.files["a"])
        self.assertEqual(served.header.epoch, before.epoch)
        self.assertGreaterEqual(served.header.version, before.version)
        self.assertEqual(self.pin(server), (good.version, "bad"))

        os.unlink(ballast)
        await_true(lambda: self.history(server).state == RECORDED, "history to go on")
        self.assertEqual(self.served(server).header, served.header)
        server.close()
        self.assertEqual(sorted(os.listdir(self.state)), ["history.db", "lock"])
        server = self.serve(state_dir=self.state, admin=True)
        self.assertEqual(self.served(server).header, served.header)
        self.assertEqual(self.pin(server), (good.version, "bad"))
        versions = server.admin.ListSnapshots(admin.ListSnapshotsRequest(source="demo")).snapshots
        self.assertIn(good.version, [snapshot.header.version for snapshot in versions])

    def test_a_start_on_a_full_disk_goes_on_where_the_server_stopped_and_records_when_there_is_space(self):
        self.check_start_on_a_full_disk(lambda server: server.terminate())

    def test_a_start_on_a_full_disk_after_a_kill_keeps_content_epoch_and_pin_and_records_when_there_is_space(self):
        self.check_start_on_a_full_disk(lambda server: server.kill())


if __name__ == "__main__":
    unittest.main()
