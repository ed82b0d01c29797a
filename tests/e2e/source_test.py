"""Sources that come late, are empty, broken, shared or many."""

import os
import time
import unittest

import grpc

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true, write
from volume import Volume
from watch import failure

CONFIG_SERVICE = "confstream.v1.ConfigService"


class SourceTest(EndToEndTest):
    def test_a_watch_that_comes_late_gets_the_current_version_first(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve()
        early = self.watch(server)
        for number in (1, 2, 3):
            volume.swap({"a": str(number)})
            early.until(lambda event, number=number: event.files == {"a": b"%d" % number})
        first = self.watch(server).next()
        self.assertEqual((first.kind, first.reason, first.version, first.files), ("snapshot", "INITIAL", 3, {"a": b"3"}))
        self.assertTrue(first.in_sync)

    def test_a_watch_before_the_first_reading_is_told_waiting_and_the_epoch(self):
        os.mkdir(self.path("volume"))
        write(self.path("volume", "a"), "1")  # so young that it has to settle first
        server = self.serve(defaults={"settle": "3s"})
        stream = self.watch(server)
        waiting = stream.next()
        self.assertEqual((waiting.kind, waiting.state, waiting.version), ("source_status", "WAITING", 0))
        self.assertEqual(stream.next_version().header.epoch, waiting.header.epoch)

    def test_a_bad_first_config_that_is_mended_is_served(self):
        volume = Volume(self.path("volume"), {"a.yaml": "x: ["})
        server = self.serve()
        stream = self.watch(server)
        waiting = stream.next()
        self.assertEqual((waiting.kind, waiting.state, waiting.version), ("source_status", "WAITING", 0))
        self.assertEqual([violation.path for violation in waiting.status.violations], ["a.yaml"])
        self.assertEqual(server.health(""), "SERVING")
        self.assertEqual(server.health(CONFIG_SERVICE), "NOT_SERVING")
        self.assertEqual(server.health("source/demo"), "NOT_SERVING")
        self.assertEqual(server.health("source/other"), "SERVICE_UNKNOWN")
        refused = failure(server.stub.GetSnapshot, pb.GetSnapshotRequest(source="demo"))
        self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.UNAVAILABLE, "NO_SNAPSHOT_YET"))
        self.assertGreater(refused.retry_seconds, 0)
        volume.swap({"a.yaml": "x: []"})
        event = stream.next_version()
        self.assertEqual((event.reason, event.version, event.files), ("INITIAL", 1, {"a.yaml": b"x: []"}))
        self.assertEqual(stream.next_status().state, "SERVING")
        for service in (CONFIG_SERVICE, "source/demo"):
            await_true(lambda service=service: server.health(service) == "SERVING", f"health of {service}")

    def test_a_missing_source_is_waited_for_at_any_depth(self):
        path = self.path("not", "yet", "there", "volume")
        server = self.serve({"demo": {"path": path, "settle": "300ms"}})
        stream = self.watch(server)
        waiting = stream.next()
        self.assertEqual(waiting.state, "WAITING")
        self.assertEqual([violation.rule for violation in waiting.status.violations], ["source.missing"])
        os.makedirs(path)
        write(os.path.join(path, "a"), "1")
        event = stream.next_version()
        self.assertEqual((event.reason, event.files), ("INITIAL", {"a": b"1"}))

    def test_a_missing_file_source_is_waited_for(self):
        path = self.path("app.toml")
        stream = self.watch(self.serve({"demo": {"path": path, "settle": "300ms"}}))
        self.assertEqual(stream.next().state, "WAITING")
        write(path, "a = 1")
        self.assertEqual(stream.next_version().files, {"app.toml": b"a = 1"})

    def test_a_file_source_that_is_gone_for_a_while_stays_served_and_comes_back(self):
        path = self.path("app.toml")
        write(path, "a = 1")
        server = self.serve({"demo": {"path": path, "settle": "300ms"}})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().version, 1)
        os.unlink(path)
        degraded = stream.next_status("DEGRADED")
        self.assertEqual((degraded.version, degraded.status.violations[0].rule), (1, "source.missing"))
        time.sleep(10)  # the scenario's
        self.assertEqual(server.stub.GetSnapshot(pb.GetSnapshotRequest(source="demo")).snapshot.files[0].content, b"a = 1")
        self.assertEqual(server.health(CONFIG_SERVICE), "SERVING")
        write(path, "a = 2")
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {"app.toml": b"a = 2"}))

    def test_an_optional_config_map_is_empty_until_it_comes(self):
        volume = Volume(self.path("volume"), {})
        stream = self.watch(self.serve())
        first = stream.next_version()
        self.assertEqual((first.reason, first.version, first.files), ("INITIAL", 1, {}))
        for version, files in ((2, {"a": b"1"}), (3, {}), (4, {"b": b"2", "sub/c": b"3"})):
            volume.swap(files)
            event = stream.next_version()
            self.assertEqual((event.version, event.files), (version, files))

    def test_an_empty_plain_directory_publishes_nothing_and_takes_nothing_away(self):
        os.mkdir(self.path("volume"))
        server = self.serve(defaults={"settle": "300ms"})
        stream = self.watch(server)
        empty = stream.next_status()
        while not empty.status.violations:
            empty = stream.next_status()
        self.assertEqual((empty.state, empty.status.violations[0].rule), ("WAITING", "source.empty"))
        write(self.path("volume", "a"), "1")
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        os.unlink(self.path("volume", "a"))
        self.assertEqual(stream.next_status("DEGRADED").version, 1)
        write(self.path("volume", "a"), "2")
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {"a": b"2"}))

    def test_a_link_to_an_empty_directory_that_is_filled_later_publishes_nothing_half_filled(self):
        os.mkdir(self.path("one"))
        write(self.path("one", "f0"), "1")
        os.symlink("one", self.path("volume"))
        server = self.serve(defaults={"settle": "1s", "max_delay": "1m"})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"f0": b"1"})
        os.mkdir(self.path("two"))
        os.symlink("two", self.path("next"))
        os.rename(self.path("next"), self.path("volume"))
        for i in range(6):
            time.sleep(0.05)
            write(self.path("two", f"f{i}"), "2")
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {f"f{i}": b"2" for i in range(6)}))

    def test_a_directory_that_is_moved_into_place_and_filled_there_is_published_whole(self):
        for name in ("volume", "next"):
            os.mkdir(self.path(name))
            write(self.path(name, "a"), name)
        server = self.serve(defaults={"settle": "1s", "max_delay": "1m"})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"volume"})
        server.pause()  # so that it finds the file empty
        os.rename(self.path("volume"), self.path("old"))
        os.rename(self.path("next"), self.path("volume"))
        with open(self.path("volume", "b"), "w", encoding="utf-8") as file:
            server.go_on()
            time.sleep(0.3)
            file.write("whole")
        self.assertEqual(stream.next_version().files, {"a": b"next", "b": b"whole"})

    def test_a_mended_config_is_served_at_once_however_long_it_was_bad(self):
        """A swap is complete: nothing is waited for, neither a settling nor the next look."""
        volume = Volume(self.path("volume"), {"a.yaml": "x: ["})
        stream = self.watch(self.serve(defaults={"settle": "1h", "max_delay": "1h"}))
        self.assertEqual(stream.next_status("WAITING").status.violations[0].rule, "yaml.syntax")
        for number in range(5):
            volume.swap({"a.yaml": "\n" * number + "x: ["})
        volume.swap({"a.yaml": "x: []"})
        self.assertEqual(stream.next_version().files, {"a.yaml": b"x: []"})

    def test_what_changed_while_the_server_was_down_makes_one_version_and_the_same_bytes_none(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        state = {"state_dir": self.path("state")}
        server = self.serve(**state)
        first = self.watch(server).next_version()
        server.close()
        volume.swap({"a": "meanwhile"})
        volume.swap({"a": "1"})  # other directories, the same bytes
        server = self.serve(**state)
        stream = self.watch(server, resume_token=first.token)
        event = stream.next()
        self.assertEqual((event.kind, event.in_sync, event.token), ("heartbeat", True, first.token))
        stream.close()
        server.close()
        for content in ("2", "3"):
            volume.swap({"a": content})
        server = self.serve(**state)
        event = self.watch(server, resume_token=first.token).until(lambda event: event.files == {"a": b"3"})
        self.assertEqual((event.version, event.header.epoch), (2, first.header.epoch))

    def test_a_slow_client_ends_at_the_newest_version_and_is_told_how_many_it_skipped(self):
        def content(number):
            return {"large": b"%d" % number + b"x" * (6 << 20)}  # more than fits in flight

        volume = Volume(self.path("volume"), content(1))
        server = self.serve(stall_timeout="10m")
        slow, quick = self.watch(server), self.watch(server)
        self.assertEqual(slow.next_version().version, 1)
        quick.next_version()
        slow.pause()
        for number in range(2, 12):
            volume.swap(content(number))
            quick.until(lambda event, number=number: event.files == content(number))
        slow.go_on()
        last = slow.until(lambda event: event.files == content(11))
        self.assertEqual(last.version, 11)
        received = slow.snapshots()
        self.assertLess(len(received), 11, "it was not slow")
        self.assertEqual(1 + sum(1 + event.skipped_versions for event in received[1:]), 11)

    def test_two_sources_are_independent(self):
        volumes = {name: Volume(self.path(name), {"of": f"{name} 1"}) for name in ("left", "right")}
        server = self.serve({name: volume.path for name, volume in volumes.items()})
        streams = {name: self.watch(server, name) for name in volumes}
        for name, stream in streams.items():
            self.assertEqual(stream.next_version().files, {"of": f"{name} 1".encode()})
        for version in range(2, 12):
            for name in volumes:
                volumes[name].swap({"of": f"{name} {version}"})
            for name, stream in streams.items():
                event = stream.next_version()
                self.assertEqual((event.version, event.files), (version, {"of": f"{name} {version}".encode()}))
        # Only one of them changes: the other's next snapshot is its own next change.
        for number in range(20):
            volumes["left"].swap({"of": f"left alone {number}"})
            streams["left"].next_version()
        volumes["right"].swap({"of": "right again"})
        event = streams["right"].next_version()
        self.assertEqual((event.version, event.skipped_versions, event.files), (12, 0, {"of": b"right again"}))

    def test_of_two_paths_to_one_directory_the_other_still_updates_when_one_source_is_removed(self):
        os.mkdir(self.path("plain"))
        write(self.path("plain", "a"), "1")
        os.symlink("plain", self.path("link"))
        volume = Volume(self.path("volume"), {"a": "1"})
        os.symlink("volume", self.path("volume-link"))
        kept = {"plain": self.path("plain"), "volume": volume.path}
        removed = {"link": self.path("link"), "volume-link": self.path("volume-link"), "again": volume.path}
        settings = {"defaults": {"settle": "300ms"}}
        server = self.serve({**kept, **removed}, **settings)
        streams = {name: self.watch(server, name) for name in {**kept, **removed}}
        for stream in streams.values():
            self.assertEqual(stream.next_version().version, 1)
        server.configure(kept, **settings)
        server.reload()
        for name in removed:
            ending = streams[name].end()
            self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.NOT_FOUND, "SOURCE_REMOVED"))
        write(self.path("plain", "a"), "2")
        volume.swap({"a": "2"})
        for name in kept:
            event = streams[name].next_version()
            self.assertEqual((event.version, event.files), (2, {"a": b"2"}))


if __name__ == "__main__":
    unittest.main()
