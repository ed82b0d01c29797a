"""Mounts that are taken away, replaced or frozen under the server. Needs root: it mounts."""

import os
import shutil
import subprocess
import time
import unittest

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true, write
from metrics import Metrics
from volume import Volume


def tear_down(volume):
    """Removes a volume as kubelet does after a write failure: every entry, and the directory itself."""
    shutil.rmtree(volume.path)


class MountCase(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.mounted = self.path("mounted")

    def mount(self, *arguments):
        """mount(8); the last argument is where, and is unmounted at the end."""
        subprocess.run(["mount", *arguments], check=True)
        self.addCleanup(subprocess.run, ["umount", "--quiet", "--lazy", arguments[-1]], check=False)

    def unmount(self):
        """As kubelet does it: not lazily, and again if a reading was under way."""
        await_true(
            lambda: subprocess.run(["umount", "--quiet", self.mounted], check=False).returncode == 0,
            "a server at rest to hold nothing of the mount open",
        )

    def bind(self, what, where=None):
        where = where or self.mounted
        if os.path.isdir(what):
            os.makedirs(where, exist_ok=True)
        else:
            write(where, "")
        self.mount("--bind", what, where)

    def status(self, server, source="demo"):
        for summary in server.stub.ListSources(pb.ListSourcesRequest()).sources:
            if summary.header.source == source:
                return summary.status
        raise AssertionError(f"no source {source}")

    def await_state(self, server, state, source="demo"):
        name = f"SOURCE_STATE_{state}"
        await_true(
            lambda: self.status(server, source).state == pb.SourceState.Value(name),
            f"{name}, and not {self.status(server, source)}",
        )
        return self.status(server, source)

    def assert_last_good(self, stream, files):
        """The newest content that the stream has is `files`, and nothing was ever deleted from it."""
        newest = [event for event in list(stream.events) if event.kind == "snapshot"][-1]
        self.assertEqual(newest.files, files)


class MountsTest(MountCase):
    def test_a_volume_that_is_torn_down_is_detached_and_the_last_good_content_stays(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        self.bind(volume.path)
        server = self.serve({"demo": self.mounted})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        tear_down(volume)
        status = stream.next_status("DETACHED").status
        self.assertIn(self.mounted, status.violations[0].message)
        self.assertIn("restart its pod", status.violations[0].message)
        self.assertEqual(self.status(server).served_version, 1)
        self.assertEqual(server.health("confstream.v1.ConfigService"), "SERVING")
        self.assert_last_good(stream, {"a": b"1"})
        self.unmount()
        volume = Volume(self.path("volume"), {"a": "2"})
        self.bind(volume.path)
        self.assertEqual(stream.next_version().files, {"a": b"2"})
        self.await_state(server, "SERVING")

    def test_a_volume_whose_data_link_goes_a_second_before_the_rest_is_never_empty(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        self.bind(volume.path)
        server = self.serve({"demo": self.mounted})
        stream = self.watch(server)
        stream.next_version()
        os.unlink(os.path.join(volume.path, "..data"))
        stream.next_status("DEGRADED")
        time.sleep(1)  # the scenario's second
        tear_down(volume)
        stream.next_status("DETACHED")
        self.assert_last_good(stream, {"a": b"1"})

    def test_a_directory_of_an_overlays_lower_layer_that_is_deleted_is_detached(self):
        for name in ("lower/volume", "upper", "work", "merged"):
            os.makedirs(self.path(name))
        write(self.path("lower", "volume", "a"), "1")
        layers = ",".join(f"{name}dir={self.path(name)}" for name in ("lower", "upper", "work"))
        self.mount("-t", "overlay", "overlay", "-o", layers, self.path("merged"))
        self.bind(self.path("merged", "volume"))
        server = self.serve({"demo": {"path": self.mounted, "allow_empty": True}})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        shutil.rmtree(self.path("merged", "volume"))
        stream.next_status("DETACHED")
        self.assert_last_good(stream, {"a": b"1"})

    def test_what_shows_below_a_mount_that_is_gone_is_not_served(self):
        os.mkdir(self.path("directory"))
        write(self.path("directory", "a"), "1")
        os.mkdir(self.mounted)
        write(os.path.join(self.mounted, "image-default"), "x")
        self.bind(self.path("directory"))
        server = self.serve({"demo": {"path": self.mounted, "allow_empty": True}})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        self.unmount()
        status = stream.next_status("DEGRADED").status
        self.assertIn("is not mounted any more", status.violations[0].message)
        self.assert_last_good(stream, {"a": b"1"})
        write(self.path("directory", "a"), "2")
        self.bind(self.path("directory"))
        self.assertEqual(stream.next_version().files, {"a": b"2"})

    def test_what_is_mounted_over_a_hop_is_served_without_any_event(self):
        os.makedirs(self.path("hop", "inner"))
        Volume(self.path("hop", "inner", "volume"), {"a": "1"})
        os.mkdir(self.path("other"))
        Volume(self.path("other", "volume"), {"a": "2"})
        server = self.serve({"demo": self.path("hop", "inner", "volume")})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        self.mount("--bind", self.path("other"), self.path("hop", "inner"))
        self.assertEqual(stream.next_version().files, {"a": b"2"})

    def test_a_sub_path_mount_is_warned_of_and_detached_by_the_first_swap(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        self.bind(os.path.realpath(self.path("volume", "a")), self.path("key"))
        server = self.serve({"demo": self.path("key")}, metrics_listen=["127.0.0.1:0"])
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"key": b"1"})
        self.assertIn("mount the whole volume", server.await_log("mount without updates")["reason"])
        self.assertEqual(Metrics(server).states("demo"), {"SERVING"})
        volume.swap({"a": "2"})
        stream.next_status("DETACHED")
        self.assertEqual(Metrics(server).states("demo"), {"DETACHED"})
        self.assert_last_good(stream, {"key": b"1"})

    def test_a_mounted_file_that_an_editor_replaces_is_detached(self):
        write(self.path("file"), "1")
        self.bind(self.path("file"), self.path("key"))
        server = self.serve({"demo": self.path("key")})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"key": b"1"})
        os.rename(self.path("file"), self.path("file~"))  # the editor's backup
        write(self.path("file"), "2")
        stream.next_status("DETACHED")
        self.assert_last_good(stream, {"key": b"1"})

    def test_what_is_written_to_a_mounted_file_is_found_by_polling(self):
        write(self.path("file"), "1")
        self.bind(self.path("file"), self.path("key"))
        server = self.serve({"demo": self.path("key")})
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"key": b"1"})
        self.assertIn("is a mounted file", self.status(server).polling_reason)
        write(self.path("file"), "2")
        self.assertEqual(stream.next_version().files, {"key": b"2"})


class HungFileSystemTest(MountCase):
    """A FUSE file system whose server does not answer."""

    def setUp(self):
        super().setUp()
        os.mkdir(self.path("behind"))
        os.mkdir(self.mounted)
        self.fuse = subprocess.Popen(["bindfs", "-f", self.path("behind"), self.mounted])
        self.addCleanup(self.end_fuse)
        await_true(lambda: os.path.ismount(self.mounted), "the FUSE mount")

    def end_fuse(self):
        self.fuse.kill()
        self.fuse.wait()
        subprocess.run(["umount", "--quiet", "--lazy", self.mounted], check=False)

    def hang(self):
        self.fuse.send_signal(19)  # SIGSTOP
        self.addCleanup(self.fuse.send_signal, 18)

    def go_on(self):
        self.fuse.send_signal(18)  # SIGCONT

    def serve_both(self, **settings):
        behind = Volume(self.path("behind", "volume"), {"a": "1"})
        other = Volume(self.path("other"), {"a": "1"})
        server = self.serve(
            {"demo": os.path.join(self.mounted, "volume"), "other": other.path},
            defaults={"read_timeout": "1s", "poll_interval": "200ms"},
            **settings,
        )
        return behind, other, server

    def test_a_hung_source_is_stalled_delays_no_other_and_recovers(self):
        behind, other, server = self.serve_both()
        stream, beside = self.watch(server), self.watch(server, source="other")
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        beside.next_version()
        self.assertIn("fuse", self.status(server).polling_reason)
        self.assertEqual(len([line for line in server.log("cannot watch, polling instead")]), 1)
        behind.swap({"a": "2"})
        self.assertEqual(stream.next_version().files, {"a": b"2"})
        self.hang()
        status = stream.next_status("STALLED").status
        self.assertIn("does not answer", status.violations[0].message)
        for number in range(2, 12):
            other.swap({"a": str(number)})
            self.assertEqual(beside.next_version().files, {"a": b"%d" % number})
        late = self.watch(server)
        self.assertEqual(late.next_version().files, {"a": b"2"}, "the last good content is served")
        self.go_on()
        stream.next_status("SERVING")
        behind.swap({"a": "3"})
        self.assertEqual(stream.next_version().files, {"a": b"3"})

    def test_a_server_starts_beside_a_hung_source_and_ends_in_time(self):
        behind = Volume(self.path("behind", "volume"), {"a": "1"})
        other = Volume(self.path("other"), {"a": "1"})
        self.hang()
        server = self.serve(
            {"demo": os.path.join(self.mounted, "volume"), "other": other.path}, defaults={"read_timeout": "1s"}
        )
        self.assertEqual(self.watch(server, source="other").next_version().files, {"a": b"1"})
        self.await_state(server, "STALLED")
        self.assertEqual(server.health("confstream.v1.ConfigService"), "NOT_SERVING", "it is required")
        server.process.terminate()
        server.await_log("stopped")
        self.go_on()  # the kernel keeps a process for as long as one of its calls has not returned
        self.assertEqual(server.wait(), 0)
        self.assertIsNotNone(behind)


class InotifyLimitsTest(EndToEndTest):
    """The kernel's limits, in a user namespace of the server's own."""

    def serve_limited(self, instances, watches):
        return self.serve(
            wrapper=["unshare", "--user", "--map-root-user", "sh", "-c", self.set_limits(instances, watches) + ' && exec "$@"', "sh"],
            defaults={"poll_interval": "200ms"},
        )

    def set_limits(self, instances, watches):
        return (
            f"echo {instances} > /proc/sys/user/max_inotify_instances && "
            f"echo {watches} > /proc/sys/user/max_inotify_watches"
        )

    def raise_limits(self, server):
        subprocess.run(
            ["nsenter", f"--user=/proc/{server.process.pid}/ns/user", "--preserve-credentials", "sh", "-c", self.set_limits(128, 65536)],
            check=True,
        )

    def polls_and_returns(self, instances, watches, limit):
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve_limited(instances, watches)
        stream = self.watch(server)
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        for number in range(2, 6):
            volume.swap({"a": str(number)})
            self.assertEqual(stream.next_version().files, {"a": b"%d" % number})
        source = server.stub.ListSources(pb.ListSourcesRequest()).sources[0]
        self.assertEqual(source.status.change_detection, pb.CHANGE_DETECTION_POLLING)
        self.assertIn(limit, source.status.polling_reason)
        self.assertEqual(len(server.log("cannot watch, polling instead")), 1, "it is said once")
        self.assertIn(limit, server.log("cannot watch, polling instead")[0]["reason"])
        self.raise_limits(server)
        server.await_log("watching again")
        await_true(
            lambda: server.stub.ListSources(pb.ListSourcesRequest()).sources[0].status.change_detection
            == pb.CHANGE_DETECTION_INOTIFY,
            "the status to say so",
        )
        volume.swap({"a": "last"})
        self.assertEqual(stream.next_version().files, {"a": b"last"})

    def test_without_any_inotify_instance_it_polls_and_returns_to_inotify_when_there_is_one(self):
        self.polls_and_returns(0, 65536, "max_user_instances")

    def test_with_one_inotify_watch_it_polls_and_returns_to_inotify_when_there_are_more(self):
        self.polls_and_returns(128, 1, "max_user_watches")


if __name__ == "__main__":
    unittest.main()
