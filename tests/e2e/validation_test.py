"""Content that is refused: the last good snapshot stays, and everybody is told where the mistake is."""

import errno
import os
import socket
import threading
import time
import unittest

from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, EndToEndTest, write
from volume import Volume


class ValidationTest(EndToEndTest):
    def test_invalid_yaml_keeps_the_last_good_and_tells_open_streams_file_line_and_column(self):
        volume = Volume(self.path("volume"), {"app.yaml": "name: x\n", "other": "1"})
        server = self.serve()
        stream = self.watch(server)
        good = stream.next_version()
        volume.swap({"app.yaml": "name: x\nlist: [1, 2\nmore: 3\n", "other": "2"})
        told = stream.next()
        self.assertEqual((told.kind, told.state, told.version), ("source_status", "DEGRADED", 1))
        self.assertEqual((told.token, told.status.served_version), (good.token, 1))
        violation = told.status.violations[0]
        self.assertEqual((violation.path, violation.rule, violation.line), ("app.yaml", "yaml.syntax", 3))
        self.assertGreater(violation.column, 0)
        self.assertTrue(violation.message)
        logged = server.await_log("refused")
        self.assertEqual((logged["source"], logged["path"], logged["line"]), ("demo", "app.yaml", 3))

        answer = server.stub.GetSnapshot(pb.GetSnapshotRequest(source="demo"))
        self.assertEqual([file.content for file in answer.snapshot.files], [b"name: x\n", b"1"])
        listed = server.stub.ListSources(pb.ListSourcesRequest()).sources[0]
        self.assertEqual((listed.status.state, listed.status.violations[0]), (pb.SOURCE_STATE_DEGRADED, violation))
        for service in ("", "confstream.v1.ConfigService", "source/demo"):
            self.assertEqual(server.health(service), "SERVING")
        late = self.watch(server)
        self.assertEqual(late.next().files, good.files)
        self.assertEqual(late.next().state, "DEGRADED")

        volume.swap({"app.yaml": "name: y\n", "other": "3"})
        for each in (stream, late):
            mended = each.next_version()
            self.assertEqual((mended.version, mended.files), (2, {"app.yaml": b"name: y\n", "other": b"3"}))
        self.assertTrue(any(event.kind == "source_status" for event in stream.events))

    def test_going_back_to_the_served_content_ends_degraded_without_a_new_version(self):
        volume = Volume(self.path("volume"), {"a.json": "{}"})
        stream = self.watch(self.serve())
        self.assertEqual(stream.next_version().version, 1)
        volume.swap({"a.json": "{"})
        self.assertEqual(stream.next_status().state, "DEGRADED")
        volume.swap({"a.json": "{}"})
        back = stream.next()
        self.assertEqual((back.kind, back.state, back.version), ("source_status", "SERVING", 1))
        self.assertEqual(back.status.violations_total, 0)
        volume.swap({"a.json": "[]"})
        self.assertEqual(stream.next_version().version, 2)

    def test_every_mistake_of_a_swap_is_told_in_order(self):
        volume = Volume(self.path("volume"), {"ok": "1"})
        server = self.serve(defaults={"limits": {"max_file_size": 1000}})
        stream = self.watch(server)
        stream.next_version()
        mistakes = {"a.json": "{", "b.toml": "a = ", "c.yaml": "\ta: 1", "d.yaml": b"\xff\xfe\xfd"}
        volume.swap({**mistakes, "ok.yaml": "a: 1"})
        told = stream.next_status("DEGRADED")
        self.assertEqual([violation.path for violation in told.status.violations], sorted(mistakes))
        self.assertEqual(told.status.violations_total, len(mistakes))
        volume.swap({"big": "x" * 1001})
        told = stream.next_status("DEGRADED")
        self.assertEqual([violation.rule for violation in told.status.violations], ["limits.file_size"])
        volume.swap({"big": "x" * 1000})
        self.assertEqual(stream.next_version().version, 2)

    def test_an_alias_bomb_is_refused_and_costs_nothing(self):
        volume = Volume(self.path("volume"), {"a.yaml": "a: 1"})
        server = self.serve()
        stream = self.watch(server)
        stream.next_version()
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
        volume.swap({"a.yaml": "\n".join(lines)})
        told = stream.next_status("DEGRADED")
        self.assertEqual([violation.path for violation in told.status.violations], ["a.yaml"])
        volume.swap({"a.yaml": "a: 2"})
        self.assertEqual(stream.next_version().version, 2)

    def test_a_file_that_may_not_be_read_after_the_swap_is_published_once_its_mode_is_mended(self):
        Volume(self.path("volume"), {"a": "1"})
        stream = self.watch(self.serve(defaults={"settle": "300ms"}))
        stream.next_version()
        # Made ready beforehand, so that the swap finds it unreadable.
        os.mkdir(self.path("volume", "..next"))
        secret = self.path("volume", "..next", "a")
        write(secret, "2")
        os.chmod(secret, 0)
        self.assertFalse(os.access(secret, os.R_OK), "whoever runs this may read everything: ./dev test gives up root")
        os.symlink("..next", self.path("volume", "..data_tmp"))
        os.rename(self.path("volume", "..data_tmp"), self.path("volume", "..data"))
        told = stream.next_status("DEGRADED")
        self.assertEqual(told.status.violations[0].rule, "source.unreadable")
        os.chmod(secret, 0o644)
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {"a": b"2"}))

    def test_a_generation_that_may_not_be_entered_for_200_ms_after_the_swap_is_tried_again(self):
        """No event tells that it is mended: the directory was not watched, since it may not be read."""
        Volume(self.path("volume"), {"a": "1"})
        stream = self.watch(self.serve(defaults={"settle": "300ms", "poll_interval": "1h"}))
        stream.next_version()
        fresh = self.path("volume", "..next")
        os.mkdir(fresh)
        write(os.path.join(fresh, "a"), "2")
        os.chmod(fresh, 0)
        self.addCleanup(os.chmod, fresh, 0o755)
        self.assertFalse(os.access(fresh, os.R_OK), "whoever runs this may read everything: ./dev test gives up root")
        os.symlink("..next", self.path("volume", "..data_tmp"))
        os.rename(self.path("volume", "..data_tmp"), self.path("volume", "..data"))
        time.sleep(0.2)  # the scenario's
        os.chmod(fresh, 0o755)
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {"a": b"2"}))

    def test_reads_during_a_long_validation_are_whole_and_never_empty(self):
        def content(number):
            entries = "".join(f"  key{i}: [{number}, {i}, value]\n" for i in range(60000))
            return {"large.yaml": f"number: {number}\nlist:\n{entries}", "small": str(number)}

        contents = [content(number) for number in range(4)]
        volume = Volume(self.path("volume"), contents[0])
        server = self.serve()
        stream = self.watch(server)
        stream.next_version()
        valid = {tuple(text.encode() for text in files.values()) for files in contents}
        answers = []
        done = threading.Event()

        def read_on():
            request = pb.GetSnapshotRequest(source="demo", path_globs=["small"])
            while not done.is_set():
                answer = server.stub.GetSnapshot(request, timeout=DEADLINE)
                answers.append((answer.header.version, [file.content for file in answer.snapshot.files]))

        readers = [threading.Thread(target=read_on) for _ in range(4)]
        for reader in readers:
            reader.start()
        during = 0
        try:
            for number in range(1, len(contents)):
                volume.swap(contents[number])
                before = len(answers)
                event = stream.next_version()
                during += len(answers) - before
                self.assertIn(tuple(event.files.values()), valid)
        finally:
            done.set()
            for reader in readers:
                reader.join()
        self.assertGreater(during, 0, "nobody read while content was being validated")
        for version, files in answers:
            self.assertEqual(files, [b"%d" % (version - 1)])

    def test_pipes_and_sockets_in_a_source_are_never_opened_and_are_named(self):
        os.mkdir(self.path("volume"))
        write(self.path("volume", "good"), "1")
        server = self.serve(defaults={"settle": "200ms"})
        stream = self.watch(server)
        stream.next_version()
        os.mkfifo(self.path("volume", "pipe.yaml"))
        os.mkfifo(self.path("aside"))
        os.symlink("pipe.yaml", self.path("volume", "link"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path("volume", "socket"))
            listener.listen()
            # open(2) of a pipe for writing returns as soon as anybody has opened it for reading.
            writing = threading.Thread(target=lambda: open(self.path("volume", "pipe.yaml"), "wb").close(), daemon=True)
            writing.start()
            told = stream.next_status("DEGRADED")
            while told.status.violations_total < 3:
                told = stream.next_status("DEGRADED")
            self.assertEqual(
                [(violation.path, violation.rule) for violation in told.status.violations],
                [(path, "file.type") for path in ("link", "pipe.yaml", "socket")],
            )
            server.reload()  # reads everything anew
            write(self.path("volume", "good"), "2")
            self.assertTrue(writing.is_alive(), "the pipe was opened")
        with open(self.path("volume", "pipe.yaml"), "rb"):
            writing.join()
        for name in ("link", "pipe.yaml", "socket"):
            os.unlink(self.path("volume", name))
        self.assertEqual(stream.next_version().files, {"good": b"2"})

    def test_a_source_that_is_a_pipe_is_refused_and_delays_no_other(self):
        os.mkfifo(self.path("pipe"))
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve({"demo": {"path": self.path("pipe"), "settle": "200ms"}, "other": volume.path})
        waiting = self.watch(server).next_status("WAITING")
        self.assertEqual([violation.rule for violation in waiting.status.violations], ["file.type"])
        stream = self.watch(server, "other")
        self.assertEqual(stream.next_version().files, {"a": b"1"})
        volume.swap({"a": "2"})
        self.assertEqual(stream.next_version().files, {"a": b"2"})
        with self.assertRaises(OSError) as refused:  # nobody has it open for reading
            os.open(self.path("pipe"), os.O_WRONLY | os.O_NONBLOCK)
        self.assertEqual(refused.exception.errno, errno.ENXIO)


if __name__ == "__main__":
    unittest.main()
