"""Versions that outlive the server: restored, rolled back, never used for two contents."""

import os
import random
import shutil
import sqlite3
import threading
import time
import unittest

import grpc

from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true, write
from volume import Volume
from watch import Watch, digest_of, failure

RECORDED, FAILING = pb.HISTORY_STATE_RECORDED, pb.HISTORY_STATE_FAILING


class HistoryTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "1"})

    def serve_recorded(self, sources=None, **settings):
        settings.setdefault("state_dir", self.path("state"))
        return self.serve(sources, admin=True, **settings)

    def status(self, server, source="demo"):
        [summary] = [each for each in server.stub.ListSources(pb.ListSourcesRequest()).sources if each.header.source == source]
        return summary.status

    def await_recorded(self, server, version):
        await_true(
            lambda: self.status(server).history.recorded_version >= version, f"version {version} to be recorded"
        )

    def publish(self, server, *numbers):
        """Swaps, each after the one before was published. Returns the last event."""
        stream = self.watch(server)
        event = stream.next_version()
        for number in numbers:
            self.volume.swap({"a": str(number)})
            event = stream.until(lambda event, number=number: event.files["a"] == b"%d" % number)
        stream.close()
        return event

    def test_versions_and_epoch_outlive_a_restart_and_unchanged_content_keeps_its_version(self):
        server = self.serve_recorded()
        old = self.publish(server, 2, 3)
        server.close()
        again = self.serve_recorded()
        first = self.watch(again, resume_token=old.token).next()
        self.assertEqual((first.kind, first.in_sync), ("heartbeat", True))
        self.assertEqual((first.version, first.header.epoch, first.token), (3, old.header.epoch, old.token))
        versions = again.admin.ListSnapshots(admin.ListSnapshotsRequest(source="demo")).snapshots
        self.assertEqual([each.header.version for each in versions], [3, 2, 1])
        self.assertEqual(self.status(again).history.state, RECORDED)
        self.volume.swap({"a": "4"})
        self.assertEqual(self.watch(again).until(lambda event: event.files["a"] == b"4").version, 4)

    def test_after_kill_content_that_changed_meanwhile_gets_a_version_above_all_that_were_used(self):
        server = self.serve_recorded()
        old = self.publish(server, 2, 3)
        server.kill()
        self.volume.swap({"a": "4"})
        event = self.watch(self.serve_recorded()).until(lambda event: event.files["a"] == b"4")
        self.assertEqual(event.header.epoch, old.header.epoch)
        self.assertGreater(event.version, old.version)

    def expect_last_good(self, break_volume, rule):
        server = self.serve_recorded()
        old = self.publish(server, 2)
        self.await_recorded(server, 2)
        server.close()
        break_volume()
        again = self.serve_recorded()
        stream = self.watch(again)
        event = stream.next_version()
        self.assertEqual((event.version, event.files, event.token), (2, {"a": b"2"}, old.token))
        status = self.status(again)
        self.assertEqual(pb.SourceState.Name(status.state), "SOURCE_STATE_DEGRADED")
        self.assertEqual([violation.rule for violation in status.violations], [rule])
        self.assertEqual(again.health("confstream.v1.ConfigService"), "SERVING")
        return again, stream

    def test_mount_removed_while_down_serves_the_last_good_version_and_says_why(self):
        self.expect_last_good(lambda: shutil.rmtree(self.volume.path), "source.missing")

    def test_mount_emptied_while_down_serves_the_last_good_version_and_says_why(self):
        def empty():
            shutil.rmtree(self.volume.path)
            os.mkdir(self.volume.path)

        self.expect_last_good(empty, "source.empty")

    def test_mount_made_invalid_while_down_serves_the_last_good_version_and_recovers(self):
        server, stream = self.expect_last_good(lambda: self.volume.swap({"bad.yaml": "a: ["}), "yaml.syntax")
        self.volume.swap({"a": "mended"})
        self.assertEqual(stream.until(lambda event: event.files == {"a": b"mended"}).reason, "UPDATE")
        self.assertEqual(pb.SourceState.Name(self.status(server).state), "SOURCE_STATE_SERVING")

    def test_rollback_pins_outlives_a_restart_and_new_content_unpins(self):
        server = self.serve_recorded()
        old = self.publish(server, 2, 3)
        request = admin.RollbackSnapshotRequest(source="demo", version=1, expected_version=3, reason="3 is bad")
        answer = server.admin.RollbackSnapshot(request)
        self.assertTrue(answer.persisted)
        self.assertEqual((answer.header.version, answer.header.rolled_back_to, answer.pin.version), (4, 1, 1))
        self.assertEqual(answer.header.origin, pb.SNAPSHOT_ORIGIN_ROLLBACK)
        server.kill()
        again = self.serve_recorded()
        stream = self.watch(again, resume_token=old.token)
        event = stream.next_version()
        # A killed server may have used numbers that it did not record: its successor goes on above all of them.
        self.assertEqual((event.version >= 4, event.files), (True, {"a": b"1"}))
        status = self.status(again)
        self.assertEqual((status.pin.version, status.pin.reason), (1, "3 is bad"))
        self.assertTrue(status.HasField("verified_time"), "the files were read, and are what the pin holds off")
        self.volume.swap({"a": "4"})
        event = stream.until(lambda event: event.files["a"] == b"4")
        self.assertGreater(event.version, 4)
        await_true(lambda: not self.status(again).HasField("pin"), "the pin to go")

    def test_invalid_new_content_does_not_unpin(self):
        server = self.serve_recorded()
        self.publish(server, 2)
        server.admin.RollbackSnapshot(admin.RollbackSnapshotRequest(source="demo", version=1))
        stream = self.watch(server)
        self.volume.swap({"a": "2", "bad.json": "{"})
        stream.next_status("DEGRADED")
        self.assertTrue(self.status(server).HasField("pin"))
        self.volume.swap({"a": "3"})
        stream.until(lambda event: event.files["a"] == b"3")

    def test_unpin_publishes_what_is_mounted(self):
        server = self.serve_recorded()
        self.publish(server, 2)
        server.admin.RollbackSnapshot(admin.RollbackSnapshotRequest(source="demo", version=1))
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        answer = server.admin.UnpinSource(admin.UnpinSourceRequest(source="demo"))
        self.assertTrue(answer.persisted)
        self.assertFalse(answer.status.HasField("pin"))
        self.assertEqual(stream.next_version().files, {"a": b"2"})
        again = failure(server.admin.UnpinSource, admin.UnpinSourceRequest(source="demo"))
        self.assertEqual((again.code, again.reason), (grpc.StatusCode.FAILED_PRECONDITION, "NOT_PINNED"))

    def test_a_pin_expires_by_itself(self):
        server = self.serve_recorded()
        self.publish(server, 2)
        request = admin.RollbackSnapshotRequest(source="demo", version=1)
        request.expire_after.FromMilliseconds(300)
        stream = self.watch(server)
        server.admin.RollbackSnapshot(request)
        stream.until(lambda event: event.files["a"] == b"1")
        self.assertEqual(stream.until(lambda event: event.files["a"] == b"2").header.origin, pb.SNAPSHOT_ORIGIN_FILES)

    def test_rollback_is_refused_when_the_version_is_not_as_expected_or_not_retained(self):
        server = self.serve_recorded()
        self.publish(server, 2)
        rollback = server.admin.RollbackSnapshot
        ending = failure(rollback, admin.RollbackSnapshotRequest(source="demo", version=1, expected_version=1))
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.ABORTED, "VERSION_MISMATCH"))
        ending = failure(rollback, admin.RollbackSnapshotRequest(source="demo", version=7))
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_RETAINED"))
        ending = failure(rollback, admin.RollbackSnapshotRequest(source="none", version=1))
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.NOT_FOUND, "SOURCE_NOT_FOUND"))
        self.assertEqual(self.status(server).served_version, 2)

    def test_the_admin_service_is_off_unless_a_setting_turns_it_on(self):
        server = self.serve()
        ending = failure(server.admin.ListSnapshots, admin.ListSnapshotsRequest(source="demo"))
        self.assertEqual(ending.code, grpc.StatusCode.UNIMPLEMENTED)

    def test_the_admin_listener_offers_the_admin_service_and_the_others_do_not(self):
        server = self.serve(admin_listen=["127.0.0.1:0"])
        with grpc.insecure_channel(server.await_log("ready")["admin"]) as channel:
            listed = type(server.admin)(channel).ListSnapshots(admin.ListSnapshotsRequest(source="demo"))
        self.assertEqual(len(listed.snapshots), 1)
        ending = failure(server.admin.ListSnapshots, admin.ListSnapshotsRequest(source="demo"))
        self.assertEqual(ending.code, grpc.StatusCode.UNIMPLEMENTED)

    def test_a_corrupt_history_is_set_aside_and_serving_goes_on(self):
        server = self.serve_recorded()
        old = self.publish(server, 2)
        server.close()
        garbage = b"this is no database" * 1000
        with open(self.path("state", "history.db"), "wb") as file:
            file.write(garbage)
        again = self.serve_recorded()
        event = self.watch(again).next_version()
        self.assertEqual(event.files, {"a": b"2"})
        self.assertNotEqual(event.header.epoch, old.header.epoch)
        [aside] = [name for name in os.listdir(self.path("state")) if "corrupt" in name]
        with open(self.path("state", aside), "rb") as file:
            self.assertEqual(file.read(), garbage)
        await_true(lambda: self.status(again).history.state == RECORDED, "the new history to be written")

    def test_a_foreign_database_is_left_alone_and_the_status_says_so(self):
        os.mkdir(self.path("state"))
        with sqlite3.connect(self.path("state", "history.db")) as database:
            database.execute("CREATE TABLE recipes (name TEXT)")
            database.execute("INSERT INTO recipes VALUES ('pie')")
        database.close()
        server = self.serve_recorded()
        self.assertEqual(self.watch(server).next_version().files, {"a": b"1"})
        history = self.status(server).history
        self.assertEqual(history.state, FAILING)
        self.assertIn("history.db", history.problem)
        server.close()
        with sqlite3.connect(self.path("state", "history.db")) as database:
            self.assertEqual(database.execute("SELECT name FROM recipes").fetchall(), [("pie",)])
        database.close()

    def test_a_state_dir_that_cannot_be_made_is_said_and_serving_goes_on(self):
        write(self.path("file"), "not a directory")
        server = self.serve_recorded(state_dir=self.path("file", "state"))
        self.assertEqual(self.watch(server).next_version().files, {"a": b"1"})
        self.assertEqual(self.status(server).history.state, FAILING)
        answer = server.admin.RollbackSnapshot(admin.RollbackSnapshotRequest(source="demo", version=1))
        self.assertFalse(answer.persisted)

    def test_a_second_server_on_the_same_state_dir_is_refused(self):
        self.serve_recorded()
        with self.assertRaisesRegex(AssertionError, "state"):
            self.serve_recorded()

    def test_a_sensitive_source_leaves_no_content_and_no_digest_on_disk_or_in_the_log(self):
        secret = "hunter2-%d" % random.getrandbits(64)
        self.volume.swap({"key": secret})
        sources = {"demo": {"path": self.volume.path, "sensitive": True}}
        server = self.serve_recorded(sources)
        event = self.watch(server).next_version()
        self.volume.swap({"key": secret, "bad.yaml": f"{secret}: ["})
        self.watch(server).next_status("DEGRADED")
        ending = failure(server.stub.GetSnapshot, pb.GetSnapshotRequest(source="demo", version=99))
        self.assertEqual(ending.reason, "VERSION_NOT_RETAINED")
        server.close()
        digests = [event.header.digest, event.entries["key"].digest]
        traces = [secret.encode()] + [bytes.fromhex(digest.removeprefix("sha256:")) for digest in digests]
        for name in os.listdir(self.path("state")):
            with open(self.path("state", name), "rb") as file:
                content = file.read()
            for trace in traces:
                self.assertNotIn(trace, content)
                self.assertNotIn(trace.hex().encode(), content)
        log = str(server.log())
        for text in [secret] + [digest.removeprefix("sha256:") for digest in digests]:
            self.assertNotIn(text, log)
        # The numbers go on all the same.
        self.volume.swap({"key": "other"})
        again = self.watch(self.serve_recorded(sources)).next_version()
        self.assertEqual(again.header.epoch, event.header.epoch)
        self.assertGreater(again.version, event.version)

    def test_reload_reads_what_no_event_told_of(self):
        server = self.serve_recorded()
        answer = server.admin.ReloadSource(admin.ReloadSourceRequest(source="demo"))
        self.assertEqual((answer.header.version, answer.status.state), (1, pb.SOURCE_STATE_SERVING))
        self.assertGreater(answer.status.verified_time.ToNanoseconds(), 0)

    def test_diff_tells_file_by_file_what_changed(self):
        self.volume.swap({"a": "1", "same": "s", "gone": "g"})
        server = self.serve_recorded()
        stream = self.watch(server)
        stream.next_version()
        self.volume.swap({"a": "2", "same": "s", "new": "n"})
        stream.next_version()
        request = admin.DiffSnapshotsRequest(source="demo", include_content=True, page_size=2)
        page = server.admin.DiffSnapshots(request)
        self.assertEqual((getattr(page, "from").version, page.to.version), (1, 2))
        request.page_token = page.next_page_token
        rest = server.admin.DiffSnapshots(request)
        self.assertEqual(rest.next_page_token, "")
        changes = [
            (change.path, admin.FileChangeKind.Name(change.kind), change.from_file.content, change.to_file.content)
            for change in [*page.changes, *rest.changes]
        ]
        self.assertEqual(
            changes,
            [
                ("a", "FILE_CHANGE_KIND_MODIFIED", b"1", b"2"),
                ("gone", "FILE_CHANGE_KIND_REMOVED", b"g", b""),
                ("new", "FILE_CHANGE_KIND_ADDED", b"", b"n"),
            ],
        )

    def test_validate_reports_every_violation_and_publishes_nothing(self):
        server = self.serve_recorded()

        def validate(files):
            parts = [pb.ConfigFile(path=path, content=content) for path, content in files.items()]
            return server.admin.ValidateSnapshot(
                iter([admin.ValidateSnapshotRequest(source="demo"), admin.ValidateSnapshotRequest(files=parts)])
            )

        bad = validate({"a.yaml": b"a: [", "b.json": b"{}", "c.json": b"{"})
        self.assertFalse(bad.valid)
        self.assertEqual([violation.path for violation in bad.violations], ["a.yaml", "c.json"])
        good = validate({"a.yaml": b"a: 1"})
        self.assertTrue(good.valid)
        self.assertEqual(good.digest, digest_of({"a.yaml": b"a: 1"}))
        self.assertEqual(self.status(server).served_version, 1)


if __name__ == "__main__":
    unittest.main()
