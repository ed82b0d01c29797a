"""Streams that are sent only what changed, or every version."""

import random
import unittest

import grpc

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true
from volume import Volume
from watch import digest_of

DELTA = pb.WATCH_MODE_DELTA


class DeltaTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "1", "b": "1", "c": "x" * 1000})

    def test_a_change_comes_as_a_delta_and_the_first_content_as_a_snapshot(self):
        stream = self.watch(self.serve(), mode=DELTA)
        self.assertFalse(stream.next_version().is_delta)
        self.volume.swap({"a": "2", "c": "x" * 1000, "new": "n"})
        event = stream.next_version()
        self.assertTrue(event.is_delta)
        self.assertEqual(event.files, {"a": b"2", "c": b"x" * 1000, "new": b"n"})
        self.assertLess(event.message_bytes, 1000)

    def test_a_change_of_everything_comes_as_a_snapshot_since_that_is_smaller(self):
        stream = self.watch(self.serve(), mode=DELTA)
        stream.next_version()
        self.volume.swap({"other": "1"})
        event = stream.next_version()
        self.assertEqual((event.is_delta, event.files), (False, {"other": b"1"}))

    def test_one_changed_file_among_ten_thousand_costs_its_content_its_path_and_512_bytes(self):
        files = {f"directory/file-{number:05}.yaml": f"number: {number}\n" for number in range(10000)}
        self.volume.swap(files)
        server = self.serve()
        stream = self.watch(server, mode=DELTA)
        token = stream.next_version()
        path = "directory/file-04711.yaml"
        content = "number: changed\n" + "#" * 5000 + "\n"
        self.volume.swap({**files, path: content})
        event = stream.next_version()
        self.assertTrue(event.is_delta)
        self.assertEqual(event.files[path], content.encode())
        self.assertLessEqual(event.message_bytes, len(content) + len(path) + 512)
        # The same for a client that was away meanwhile; its first message has a watch_id, too.
        resumed = self.watch(server, mode=DELTA, resume_token=token.token, held=token).next_version()
        self.assertTrue(resumed.is_delta)
        self.assertEqual(resumed.view_digest, event.view_digest)
        self.assertLessEqual(resumed.message_bytes, len(content) + len(path) + 512)

    def test_resuming_from_every_retained_version_gives_the_same_content_after_random_edits(self):
        chance = random.Random(4711)
        server = self.serve(defaults={"history": {"max_versions": 40}})
        follower = self.watch(server, mode=DELTA)
        events = [follower.next_version()]
        files = {}
        for number in range(60):
            for _ in range(chance.randrange(1, 6)):
                name = f"{chance.choice('pqr')}/{chance.randrange(15)}"
                edit = chance.choice(["write", "write", "delete", "rename"])
                if edit == "write":
                    files[name] = f"{number} " * chance.randrange(1, 300)
                elif files:
                    victim = chance.choice(sorted(files))
                    moved = files.pop(victim)
                    if edit == "rename":
                        files[name] = moved
            files["counter"] = str(number)
            self.volume.swap(files)
            events.append(follower.until(lambda event, number=number: event.files.get("counter") == b"%d" % number))
        newest = events[-1]
        self.assertEqual(newest.view_digest, digest_of({path: text.encode() for path, text in files.items()}))
        self.assertGreater(sum(event.is_delta for event in events), 30)
        kinds = set()
        for old in events[:-1]:
            resumed = self.watch(server, mode=DELTA, resume_token=old.token, held=old).next_version()
            self.assertEqual((resumed.version, resumed.files), (newest.version, newest.files))
            kinds.add((resumed.is_delta, resumed.reason))
        self.assertIn((True, "UPDATE"), kinds)
        self.assertIn((False, "UPDATE"), kinds, "versions that are no longer retained")

    def test_a_delta_larger_than_a_message_comes_in_fragments(self):
        server = self.serve()
        stream = self.watch(server, mode=DELTA)
        keep = {"keep": "k" * (10 << 20)}
        self.volume.swap({**keep, "a": "1"})
        stream.until(lambda event: "keep" in event.files)
        self.volume.swap({**keep, "big": "b" * (5 << 20), "more": "m" * (2 << 20)})
        event = stream.next_version()
        self.assertTrue(event.is_delta)
        self.assertGreater(event.fragments, 5)
        self.assertNotIn("a", event.files)

    def test_a_deletion_is_told_to_a_delta_stream_that_reconnects(self):
        server = self.serve()
        stream = self.watch(server, mode=DELTA)
        old = stream.next_version()
        self.volume.swap({"a": "1", "c": "x" * 1000})
        stream.next_version()
        resumed = self.watch(server, mode=DELTA, resume_token=old.token, held=old).next_version()
        self.assertEqual((resumed.is_delta, set(resumed.files)), (True, {"a", "c"}))


class EveryVersionTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "0"})

    def publish(self, server, numbers):
        observer = self.watch(server)
        observer.next_version()
        for number in numbers:
            self.volume.swap({"a": str(number)})
            observer.until(lambda event, number=number: event.files["a"] == b"%d" % number)
        observer.close()

    def test_a_thousand_versions_arrive_in_order_and_none_is_left_out(self):
        server = self.serve(defaults={"history": {"max_versions": 2000}})
        token = self.watch(server).next_version().token
        whole = self.watch(server, every_version=True)
        self.publish(server, range(1, 1001))
        for mode in (pb.WATCH_MODE_SNAPSHOT, DELTA):
            with self.subTest(mode):
                held = whole.events[0]
                late = self.watch(server, every_version=True, mode=mode, resume_token=token, held=held)
                last = late.until(lambda event: event.files["a"] == b"1000")
                self.assertTrue(last.in_sync)
                received = [int(event.files["a"]) for event in late.snapshots()]
                self.assertEqual(received, list(range(1, 1001)))
        whole.until(lambda event: event.files["a"] == b"1000")
        self.assertEqual([int(event.files["a"]) for event in whole.snapshots()], list(range(1001)))
        self.assertEqual([event.version for event in whole.snapshots()], list(range(1, 1002)))

    def test_there_and_back_again_are_three_versions(self):
        server = self.serve()
        stream = self.watch(server, every_version=True)
        self.publish(server, [1, 0, 1])
        stream.until(lambda event: event.version == 4)
        self.assertEqual([event.files["a"] for event in stream.snapshots()], [b"0", b"1", b"0", b"1"])

    def test_versions_that_do_not_change_the_view_are_passed_over(self):
        self.volume.swap({"a": "0", "b": "0"})
        server = self.serve()
        stream = self.watch(server, every_version=True, path_globs=["a"])
        observer = self.watch(server)
        observer.next_version()
        for a, b in (("0", "1"), ("1", "1"), ("1", "2"), ("2", "2")):
            self.volume.swap({"a": a, "b": b})
            observer.next_version()
        stream.until(lambda event: event.files["a"] == b"2")
        self.assertEqual([event.version for event in stream.snapshots()], [1, 3, 5])

    def test_a_token_before_the_oldest_retained_version_is_out_of_range_and_the_oldest_is_named(self):
        server = self.serve(defaults={"history": {"max_versions": 3}})
        token = self.watch(server).next_version().token
        self.publish(server, range(1, 8))
        ending = self.watch(server, every_version=True, resume_token=token).end()
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.OUT_OF_RANGE, "VERSION_COMPACTED"))
        self.assertIn("6", ending.message)

    def test_a_token_of_another_epoch_is_out_of_range(self):
        server = self.serve()
        token = self.watch(server).next_version().token
        server.close()
        self.volume.swap({"a": "other"})
        ending = self.watch(self.serve(), every_version=True, resume_token=token).end()
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.OUT_OF_RANGE, "VERSION_COMPACTED"))

    def test_a_cursor_that_retention_overtakes_is_told_so(self):
        server = self.serve(defaults={"history": {"max_versions": 3}})
        big = "x" * (6 << 20)
        self.volume.swap({"a": "0", "big": big})
        # Nobody reads it: it is stuck in its first version.
        stuck = self.watch(server, every_version=True, paused=True)
        observer = self.watch(server)
        observer.until(lambda event: "big" in event.files)
        for number in range(1, 9):
            self.volume.swap({"a": str(number), "big": big})
            observer.until(lambda event, number=number: event.files["a"] == b"%d" % number)
        stuck.read()
        ending = stuck.end()
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "VERSION_COMPACTED"))


if __name__ == "__main__":
    unittest.main()
