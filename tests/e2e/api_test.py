"""Requests: what they select, how often they are answered, and what is refused."""

import time
import unittest

import grpc

from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, EndToEndTest, await_true
from volume import Volume
from watch import digest_of, ending_of, failure

FILES = {"a.yaml": "a: 1", "b.json": "{}", "sub/c.yaml": "c: 1", "sub/deep/d.yaml": "d: 1", "x*y": "star"}


class GlobTest(EndToEndTest):
    def test_globs_select_files_and_those_that_select_none_are_named(self):
        Volume(self.path("volume"), FILES)
        server = self.serve()
        cases = {
            ("*.yaml",): {"a.yaml"},
            ("**.yaml",): {"a.yaml", "sub/c.yaml", "sub/deep/d.yaml"},
            ("**/c.yaml", "**/a.yaml"): {"a.yaml", "sub/c.yaml"},
            ("sub/*",): {"sub/c.yaml"},
            ("sub/**",): {"sub/c.yaml", "sub/deep/d.yaml"},
            ("x\\*y",): {"x*y"},
            ("b.json", "b.*"): {"b.json"},
            ("**",): set(FILES),
        }
        for globs, selected in cases.items():
            with self.subTest(globs):
                event = self.watch(server, path_globs=globs).next()
                self.assertEqual((set(event.files), event.missing_globs), (selected, []))
        event = self.watch(server, path_globs=["none", "a.yaml", "sub/*.json"]).next()
        self.assertEqual(set(event.files), {"a.yaml"})
        self.assertEqual(set(event.missing_globs), {"none", "sub/*.json"})
        event = self.watch(server, path_globs=["none"]).next()
        self.assertEqual((event.kind, event.files, event.in_sync), ("snapshot", {}, True))

    def test_a_filtered_stream_wakes_only_for_its_view_and_its_heartbeats_move_on(self):
        volume = Volume(self.path("volume"), {"a": "1", "b": "0"})
        server = self.serve()
        observer = self.watch(server)
        observer.next_version()
        filtered = self.watch(server, path_globs=["a"], heartbeat_interval=1)
        self.assertEqual(filtered.next().version, 1)
        for number in range(1, 6):
            volume.swap({"a": "1", "b": str(number)})
            observer.next_version()
        while (beat := filtered.next()).version < 6:
            self.assertEqual(beat.kind, "heartbeat")
        self.assertEqual((beat.kind, beat.in_sync), ("heartbeat", True))
        volume.swap({"a": "2", "b": "5"})
        while (event := filtered.next()).kind == "heartbeat":
            pass
        self.assertEqual((event.kind, event.version, event.skipped_versions), ("snapshot", 7, 0))
        volume.swap({"b": "6"})
        event = filtered.next_version()
        self.assertEqual((event.version, event.files, event.missing_globs), (8, {}, ["a"]))

    def test_last_changed_version_is_that_of_the_content(self):
        volume = Volume(self.path("volume"), {"a": "1", "b": "1"})
        stream = self.watch(self.serve())
        stream.next_version()
        for number in (2, 3):
            volume.swap({"a": "1", "b": str(number)})
            event = stream.next_version()
        self.assertEqual({path: entry.last_changed_version for path, entry in event.entries.items()}, {"a": 1, "b": 3})
        self.assertEqual({entry.content_type for entry in event.entries.values()}, {"application/octet-stream"})


class PaceTest(EndToEndTest):
    def test_heartbeats_come_while_nothing_happens_and_carry_the_token(self):
        Volume(self.path("volume"), FILES)
        server = self.serve()
        silent = self.watch(server, heartbeat_interval=0)
        stream = self.watch(server, heartbeat_interval=1)
        first = stream.next()
        silent.next()
        for _ in range(3):
            beat = stream.next()
            self.assertEqual((beat.kind, beat.in_sync, beat.token), ("heartbeat", True, first.token))
        self.assertEqual(len(silent.events), 1)

    def test_min_update_interval_lets_few_versions_through_and_the_last_arrives(self):
        volume = Volume(self.path("volume"), {"a": "0"})
        server = self.serve()
        observer = self.watch(server)
        slow = self.watch(server, min_update_interval=1, heartbeat_interval=1)
        observer.next_version()
        slow.next_version()
        began = time.monotonic()
        for number in range(1, 101):
            volume.swap({"a": str(number)})
            observer.until(lambda event, number=number: event.files["a"] == b"%d" % number)
            time.sleep(0.02)
        last = slow.until(lambda event: event.files["a"] == b"100")
        elapsed = time.monotonic() - began
        received = slow.snapshots()
        self.assertLessEqual(len(received), elapsed + 2)
        self.assertEqual(1 + sum(1 + event.skipped_versions for event in received[1:]), last.version)

    def test_a_client_that_pings_every_10_s_while_idle_stays_connected_and_one_that_pings_all_the_time_does_not(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve()

        def pinging(every_ms):
            options = [("grpc.keepalive_time_ms", every_ms), ("grpc.keepalive_permit_without_calls", 1)]
            options += [("grpc.http2.max_pings_without_data", 0)]
            return self.watch(server, channel_options=options, heartbeat_interval=0)

        idle, abusive = pinging(10000), pinging(1000)
        self.assertEqual(idle.next().version, 1)
        cut = abusive.end()
        self.assertEqual(cut.code, grpc.StatusCode.UNAVAILABLE)
        # As many pings as cost the other its connection, and two more.
        time.sleep(45)
        volume.swap({"a": "2"})
        event = idle.next()
        self.assertEqual((event.kind, event.version), ("snapshot", 2))


class GetSnapshotTest(EndToEndTest):
    def test_get_snapshot_answers_with_content_metadata_or_unchanged(self):
        volume = Volume(self.path("volume"), FILES)
        server = self.serve()
        get = server.stub.GetSnapshot
        full = get(pb.GetSnapshotRequest(source="demo"))
        contents = {path: content.encode() for path, content in FILES.items()}
        self.assertEqual({file.path: file.content for file in full.snapshot.files}, contents)
        self.assertEqual(full.snapshot.view_digest, digest_of(contents))
        self.assertEqual((full.header.version, full.header.digest), (1, full.snapshot.view_digest))
        self.assertEqual({file.path: file.content_type for file in full.snapshot.files}["a.yaml"], "application/yaml")

        metadata = get(pb.GetSnapshotRequest(source="demo", view=pb.SNAPSHOT_VIEW_METADATA))
        for file in full.snapshot.files:
            file.content = b""
        self.assertEqual(metadata, full)

        unchanged = get(pb.GetSnapshotRequest(source="demo", if_digest_not=full.header.digest))
        self.assertTrue(unchanged.unchanged)
        self.assertEqual((unchanged.HasField("snapshot"), unchanged.header), (False, full.header))
        part = pb.GetSnapshotRequest(source="demo", path_globs=["*.yaml", "none"], if_digest_not=full.header.digest)
        answer = get(part)
        self.assertFalse(answer.unchanged)
        self.assertEqual([file.path for file in answer.snapshot.files], ["a.yaml"])
        self.assertEqual(list(answer.snapshot.missing_globs), ["none"])

        stream = self.watch(server, resume_token=full.header.resume_token)
        self.assertEqual(stream.next().kind, "heartbeat")
        self.assertEqual(get(pb.GetSnapshotRequest(source="demo", version=1)).header, full.header)
        volume.swap({"a.yaml": "a: 2"})
        stream.next_version()
        self.assertEqual(get(pb.GetSnapshotRequest(source="demo", version=1)).header, full.header)
        gone = failure(get, pb.GetSnapshotRequest(source="demo", version=3))
        self.assertEqual((gone.code, gone.reason), (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_RETAINED"))


class ListSourcesTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.names = [f"s{i:02}" for i in range(25)]
        Volume(self.path("volume"), {"a": "12", "b": "345"})
        sources = {name: self.path("volume") for name in self.names}
        self.server = self.serve({**sources, "zz-missing": self.path("missing")})

    def test_list_sources_pages_through_all_in_order(self):
        listed, token = [], ""
        while True:
            page = self.server.stub.ListSources(pb.ListSourcesRequest(page_size=10, page_token=token))
            self.assertLessEqual(len(page.sources), 10)
            listed += page.sources
            token = page.next_page_token
            if not token:
                break
        self.assertEqual([source.header.source for source in listed], self.names + ["zz-missing"])
        whole = self.server.stub.ListSources(pb.ListSourcesRequest())
        self.assertEqual((list(whole.sources), whole.next_page_token), (listed, ""))
        first, missing = listed[0], listed[-1]
        self.assertEqual((first.header.version, first.file_count, first.size_bytes), (1, 2, 5))
        self.assertEqual(first.status.state, pb.SOURCE_STATE_SERVING)
        self.assertEqual(first.status.change_detection, pb.CHANGE_DETECTION_INOTIFY)
        self.assertTrue(first.status.HasField("verified_time"))
        self.assertEqual((missing.header.version, missing.status.state), (0, pb.SOURCE_STATE_WAITING))
        self.assertTrue(missing.header.epoch)
        stream = self.watch(self.server, "s03", resume_token=listed[3].header.resume_token)
        self.assertEqual(stream.next().kind, "heartbeat")

    def test_bad_pages_are_refused(self):
        for request in ({"page_size": -1}, {"page_size": 1001}, {"page_token": "what?"}):
            refused = failure(self.server.stub.ListSources, pb.ListSourcesRequest(**request))
            self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"))


class RefusedRequestTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a" * 200: "1"})

    def refusal(self, server, **request):
        return self.watch(server, **request).end()

    def test_bad_watch_requests_are_refused_with_a_reason(self):
        server = self.serve()
        bad = [
            {"source": ""},
            {"path_globs": [str(i) for i in range(65)]},
            {"path_globs": ["x" * 1025]},
            {"path_globs": [""]},
            {"path_globs": ["a\\"]},
            {"heartbeat_interval": 0.5},
            {"heartbeat_interval": -5},
            {"heartbeat_interval": 3601},
            {"heartbeat_interval": 1e15},
            {"min_update_interval": 3601},
            {"min_update_interval": -1},
            {"client_id": "x" * 257},
            {"client_id": "a\nb"},
            {"labels": {str(i): "" for i in range(17)}},
            {"labels": {"a": "\x1b[31m"}},
            {"mode": 77},
        ]
        for request in bad:
            with self.subTest(request):
                refused = self.refusal(server, **request)
                self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"))
                self.assertTrue(refused.message)
        good = {"client_id": "x" * 256, "labels": {str(i): "v" for i in range(16)}, "path_globs": ["x" * 1024] * 64}
        self.assertEqual(self.watch(server, **good).next().kind, "snapshot")

    def test_an_unknown_source_is_not_found_and_the_known_ones_are_named(self):
        refused = self.refusal(self.serve(), source="dem")
        self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.NOT_FOUND, "SOURCE_NOT_FOUND"))
        self.assertIn("demo", refused.message)

    def test_a_request_of_a_million_globs_is_refused_before_it_costs_anything(self):
        refused = self.refusal(self.serve(), path_globs=["a"] * 1000000)
        self.assertEqual(refused.code, grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_a_hundred_thousand_globs_within_the_size_of_a_request_are_refused(self):
        refused = self.refusal(self.serve(), path_globs=["a"] * 100000)
        self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"))

    def test_pathological_globs_cost_the_server_little(self):
        server = self.serve()
        before = server.cpu_seconds()
        globs = ["*a" * (100 + i) + "b" for i in range(32)] + ["**a" * (100 + i) + "b" for i in range(32)]
        stream = self.watch(server, path_globs=globs)
        self.assertEqual(len(stream.next().missing_globs), 64)
        self.volume.swap({"a" * 200: "2", "a" * 199 + "b": "1"})
        self.assertEqual(set(stream.next_version().files), {"a" * 199 + "b"})
        self.assertLess(server.cpu_seconds() - before, 2)

    def test_bytes_that_are_no_request_are_refused(self):
        server = self.serve()
        requests = {"not UTF-8": b"\x0a\x02\xff\xfe", "cut": b"\x0a\x7fdemo", "noise": bytes(range(255, 0, -1))}
        for what, request in requests.items():
            with self.subTest(what):
                call = server.channel.unary_stream("/confstream.v1.ConfigService/Watch")(request, timeout=DEADLINE)
                with self.assertRaises(grpc.RpcError):
                    next(call)
                refused = ending_of(call)
                self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"))
                get = server.channel.unary_unary("/confstream.v1.ConfigService/GetSnapshot")
                self.assertNotEqual(failure(get, request).code, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertEqual(self.watch(server).next().kind, "snapshot")


class LimitTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        Volume(self.path("volume"), FILES)

    def test_streams_beyond_the_limit_are_refused_until_one_ends(self):
        server = self.serve(max_streams=3)
        streams = [self.watch(server) for _ in range(3)]
        for stream in streams:
            stream.next()
        refused = self.watch(server).end()
        self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"))
        self.assertGreater(refused.retry_seconds, 0)
        streams[0].close()
        await_true(lambda: self.answered(server), "a stream to be let in")

    def test_views_beyond_the_limit_are_refused_until_one_is_left_by_all(self):
        server = self.serve(max_views_per_source=2)
        streams = [self.watch(server, path_globs=[glob]) for glob in ("a.yaml", "b.json", "b.json")]
        for stream in streams:
            stream.next()
        refused = self.watch(server).end()
        self.assertEqual((refused.code, refused.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_VIEWS"))
        streams[1].close()
        self.assertFalse(self.answered(server))
        streams[2].close()
        await_true(lambda: self.answered(server), "a view to be let in")

    def answered(self, server):
        """True if a stream with everything is let in."""
        call = server.stub.Watch(pb.WatchRequest(source="demo", until_in_sync=True), timeout=DEADLINE)
        try:
            return len(list(call)) == 1
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            return False

    def test_streams_beyond_the_limit_of_a_connection_wait_and_hurt_no_other_connection(self):
        server = self.serve(max_streams_per_connection=2)
        calls = []
        for _ in range(2):
            calls.append(server.stub.Watch(pb.WatchRequest(source="demo"), timeout=DEADLINE))
            self.assertEqual(next(calls[-1]).header.version, 1)
        calls.append(server.stub.Watch(pb.WatchRequest(source="demo"), timeout=DEADLINE))
        self.assertEqual(self.watch(server).next().version, 1)
        calls[0].cancel()
        self.assertEqual(next(calls[2]).header.version, 1)
        for call in calls:
            call.cancel()

    def test_streams_that_come_and_go_leave_nothing_behind(self):
        server = self.serve()
        observer = self.watch(server)
        observer.next()
        self.answered(server)
        before = server.descriptors()
        for i in range(300):
            call = server.stub.Watch(pb.WatchRequest(source="demo", path_globs=[str(i)]), timeout=DEADLINE)
            next(call)
            call.cancel()
        await_true(lambda: self.answered(server), "an answer")
        self.assertLessEqual(server.descriptors(), before + 2)
        self.assertLessEqual(server.threads(), 32)


if __name__ == "__main__":
    unittest.main()
