"""Sources whose changes no event tells of: they are looked for, and everybody can see that they are."""

import contextlib
import glob
import os
import unittest

from confstream.v1 import config_service_pb2 as pb
from client import run_client
from harness import EndToEndTest, await_true, write
from volume import Volume

POLLED = {"always_poll": True, "poll_interval": "100ms", "settle": "200ms"}


class PollingTest(EndToEndTest):
    def status(self, server):
        return server.stub.ListSources(pb.ListSourcesRequest()).sources[0].status

    def watched(self, server):
        """How many directories the kernel watches for the server."""
        count = 0
        for path in glob.glob(f"/proc/{server.process.pid}/fdinfo/*"):
            # A descriptor may be closed meanwhile.
            with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
                count += sum(line.startswith("inotify ") for line in file)
        return count

    def expect_polling(self, server, reason):
        """Status, log and command line say that the source is polled, and why; the log says it once."""
        status = self.status(server)
        self.assertEqual(status.change_detection, pb.CHANGE_DETECTION_POLLING)
        self.assertIn(reason, status.polling_reason)
        said = server.log("cannot watch, polling instead")
        self.assertEqual([line["source"] for line in said], ["demo"])
        self.assertIn(reason, said[0]["reason"])
        _, shown, _ = run_client(server, "status")
        self.assertIn("POLLING", shown)
        self.assertIn(reason, shown)

    def expect_inotify(self, server):
        server.await_log("watching again")
        await_true(lambda: self.status(server).change_detection == pb.CHANGE_DETECTION_INOTIFY, "the status to say so")
        self.assertEqual(self.status(server).polling_reason, "")

    def test_with_polling_forced_every_kind_of_change_is_found_without_any_event(self):
        os.mkdir(self.path("plain"))
        write(self.path("plain", "a"), "1")
        os.symlink("plain", self.path("source"))
        server = self.serve({"demo": {"path": self.path("source"), **POLLED}})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        self.assertEqual(self.watched(server), 0)
        self.expect_polling(server, "always_poll")
        write(self.path("plain", "a"), "2")  # in place, of the same size
        self.assertEqual(stream.next_version().files, {"a": b"2"})
        write(self.path("plain", "sub-b"), "1")
        self.assertEqual(stream.next_version().files, {"a": b"2", "sub-b": b"1"})
        os.unlink(self.path("plain", "a"))
        self.assertEqual(stream.next_version().files, {"sub-b": b"1"})
        volume = Volume(self.path("volume"), {"c": "1"})
        os.symlink("volume", self.path("next"))
        os.rename(self.path("next"), self.path("source"))
        self.assertEqual(stream.next_version().files, {"c": b"1"})
        for number in range(2, 12):
            volume.swap({"c": str(number)})
            self.assertEqual(stream.next_version().files, {"c": b"%d" % number})
        os.rename(volume.path, self.path("aside"))
        self.assertEqual(stream.next_status("DEGRADED").status.violations[0].rule, "source.missing")
        os.rename(self.path("aside"), volume.path)
        self.assertEqual(stream.next_status("SERVING").status.served_version, stream.snapshots()[-1].version)
        self.expect_polling(server, "always_poll")

    def test_content_that_changes_without_any_stamp_is_found_by_a_full_reading(self):
        os.mkdir(self.path("volume"))
        path = self.path("volume", "a")
        write(path, "1")
        old = os.stat(path).st_mtime - 3600
        os.utime(path, (old, old))
        server = self.serve({"demo": {"path": self.path("volume"), **POLLED}})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        write(path, "2")
        os.utime(path, (old, old))  # as `cp --preserve` and unpacked archives have it
        self.assertEqual(stream.next_version().files, {"a": b"2"})

    def test_invalid_content_that_is_polled_is_refused_and_mended_content_served(self):
        volume = Volume(self.path("volume"), {"a.yaml": "n: 1"})
        server = self.serve({"demo": {"path": volume.path, **POLLED}})
        stream = self.watch(server)
        stream.next_version()
        volume.swap({"a.yaml": "n: ["})
        self.assertEqual(stream.next_status("DEGRADED").status.violations[0].rule, "yaml.syntax")
        volume.swap({"a.yaml": "n: 2"})
        self.assertEqual(stream.next_version().files, {"a.yaml": b"n: 2"})

    def test_a_polled_source_that_never_changes_costs_little_and_wakes_nobody(self):
        volume = Volume(self.path("volume"), {f"{i}": "x" for i in range(200)})
        server = self.serve({"demo": {"path": volume.path, **POLLED, "poll_interval": "100ms"}})
        stream = self.watch(server)
        stream.next_version()
        before = server.cpu_seconds()
        verified = self.status(server).verified_time.ToNanoseconds()
        await_true(
            lambda: self.status(server).verified_time.ToNanoseconds() > verified + 3e9, "three more seconds of polling"
        )
        self.assertLess(server.cpu_seconds() - before, 1.0)
        self.assertEqual([event.kind for event in stream.events if event.kind == "snapshot"], ["snapshot"])

    def test_turning_polling_off_returns_to_inotify_and_loses_no_change(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve({"demo": {"path": volume.path, **POLLED}})
        stream = self.watch(server)
        stream.next_version()
        self.expect_polling(server, "always_poll")
        server.configure({"demo": volume.path})
        server.reload()
        await_true(lambda: self.status(server).change_detection == pb.CHANGE_DETECTION_INOTIFY, "the status to say so")
        self.assertGreater(self.watched(server), 0)
        volume.swap({"a": "2"})
        self.assertEqual(stream.next_version().files, {"a": b"2"})

    def test_a_watch_that_is_lost_is_told_by_status_and_health_and_nothing_is_stale_meanwhile(self):
        """Watching needs read permission: a directory on the way that loses it can be passed, and not watched."""
        os.mkdir(self.path("way"))
        volume = Volume(self.path("way", "volume"), {"a": "1"})
        server = self.serve({"demo": {"path": volume.path, "poll_interval": "100ms"}})
        stream = self.watch(server)
        stream.next_version()
        self.assertEqual(self.status(server).change_detection, pb.CHANGE_DETECTION_INOTIFY)
        code, shown, _ = run_client(server, "status")
        self.assertEqual((code, "POLLING" in shown), (0, False))
        os.chmod(self.path("way"), 0o311)
        self.addCleanup(os.chmod, self.path("way"), 0o755)
        server.reload()  # watches that are held outlive the permission
        server.await_log("cannot watch, polling instead")
        await_true(lambda: self.status(server).change_detection == pb.CHANGE_DETECTION_POLLING, "the status to say so")
        self.expect_polling(server, self.path("way"))
        told = stream.next_status()
        self.assertEqual((told.state, told.status.change_detection), ("SERVING", pb.CHANGE_DETECTION_POLLING))
        for number in range(2, 5):
            volume.swap({"a": str(number)})
            self.assertEqual(stream.next_version().files, {"a": b"%d" % number})
        os.chmod(self.path("way"), 0o755)
        self.expect_inotify(server)
        volume.swap({"a": "last"})
        self.assertEqual(stream.next_version().files, {"a": b"last"})


if __name__ == "__main__":
    unittest.main()
