"""Who watches what, and what became of it there."""

import unittest

import grpc

from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true
from volume import Volume
from watch import failure


class WatchersTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "1", "b": "1"})
        self.server = self.serve(admin=True)

    def watchers(self, **request):
        return self.server.admin.ListWatchers(admin.ListWatchersRequest(**request)).watchers

    def report(self, watch_id, version, outcome, reason=""):
        request = pb.ReportOutcomeRequest(watch_id=watch_id, version=version, outcome=outcome, reason=reason)
        return self.server.stub.ReportOutcome(request)

    def refused(self, **request):
        return failure(self.server.stub.ReportOutcome, pb.ReportOutcomeRequest(**request))

    def test_a_stream_is_listed_with_what_it_said_of_itself_and_where_it_stands(self):
        stream = self.watch(self.server, client_id="billing", labels={"pod": "billing-7"}, path_globs=["b", "a"])
        first = stream.next_version()
        [watcher] = self.watchers(source="demo")
        self.assertEqual((watcher.watch_id, watcher.source), (first.watch_id, "demo"))
        self.assertEqual((watcher.client_id, dict(watcher.labels)), ("billing", {"pod": "billing-7"}))
        self.assertEqual(list(watcher.path_globs), ["a", "b"])
        self.assertTrue(watcher.peer)
        self.assertGreater(watcher.open_time.seconds, 0)
        self.assertEqual((watcher.version, watcher.in_sync, watcher.versions_behind), (1, True, 0))
        self.assertFalse(watcher.HasField("last_report"))
        stream.close()
        await_true(lambda: not self.watchers(), "the stream to be gone")

    def test_a_stuck_stream_is_told_to_be_behind_and_by_how_much_of_its_own_view(self):
        # Never read, it takes the first version, which is small, and no large one.
        self.watch(self.server, client_id="stuck", path_globs=["a"], paused=True)
        self.watch(self.server, client_id="other", path_globs=["b"]).next_version()

        def stuck():
            return [watcher for watcher in self.watchers() if watcher.client_id == "stuck" and watcher.version == 1]

        await_true(stuck, "the stream to have taken the first version")
        big = "x" * (6 << 20)
        observer = self.watch(self.server)
        for a, b in (("y", "1"), ("z", "2"), ("z", "3"), ("w", "3")):
            self.volume.swap({"a": a + big, "b": b})
            observer.until(lambda event, a=a, b=b: event.files["a"][:1] == a.encode() and event.files["b"] == b.encode())
        [watcher] = stuck()
        self.assertFalse(watcher.in_sync)
        self.assertEqual(watcher.versions_behind, 3, "the third swap changed another file only")
        self.assertGreater(watcher.behind_since.seconds, 0)
        [other] = [watcher for watcher in self.watchers() if watcher.client_id == "other"]
        await_true(
            lambda: [watcher.in_sync for watcher in self.watchers() if watcher.client_id == "other"] == [True],
            "the other to be in sync",
        )

    def test_a_rejection_is_seen_with_its_reason_beside_what_runs_now(self):
        stream = self.watch(self.server, client_id="billing")
        first = stream.next_version()
        self.report(first.watch_id, 1, pb.OUTCOME_APPLIED)
        self.volume.swap({"a": "2", "b": "1"})
        stream.next_version()
        self.report(first.watch_id, 2, pb.OUTCOME_REJECTED, "port 80 is taken\nreally")
        [watcher] = self.watchers(source="demo")
        for report in (watcher.last_report, watcher.last_rejection):
            self.assertEqual((report.version, report.outcome), (2, pb.OUTCOME_REJECTED))
            self.assertIn("port 80 is taken", report.reason)
            self.assertNotIn("\n", report.reason)
        [logged] = await_true(
            lambda: [line for line in self.server.log() if "billing" in str(line)], "the rejection in the log"
        )
        self.assertEqual((logged["source"], logged["version"]), ("demo", 2))
        self.volume.swap({"a": "3", "b": "1"})
        stream.next_version()
        self.report(first.watch_id, 3, pb.OUTCOME_APPLIED)
        [watcher] = self.watchers(source="demo")
        self.assertEqual((watcher.last_report.version, watcher.last_rejection.version), (3, 2))

    def test_bad_reports_are_refused(self):
        stream = self.watch(self.server)
        watch_id = stream.next_version().watch_id
        applied = pb.OUTCOME_APPLIED
        ending = self.refused(watch_id="0" * 32, version=1, outcome=applied)
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.NOT_FOUND, "WATCH_NOT_FOUND"))
        for bad in (
            {"version": 2, "outcome": applied},
            {"version": 0, "outcome": applied},
            {"version": -1, "outcome": applied},
            {"version": 1},
            {"version": 1, "outcome": 77},
            {"version": 1, "outcome": pb.OUTCOME_REJECTED, "reason": "x" * 1025},
        ):
            with self.subTest(bad):
                ending = self.refused(watch_id=watch_id, **bad)
                self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"))
        stream.close()
        await_true(lambda: not self.watchers(), "the stream to be gone")
        ending = self.refused(watch_id=watch_id, version=1, outcome=applied)
        self.assertEqual(ending.reason, "WATCH_NOT_FOUND")

    def test_pages_go_through_all_streams_once(self):
        ids = {self.watch(self.server).next_version().watch_id for _ in range(7)}
        listed, token = [], ""
        while True:
            page = self.server.admin.ListWatchers(admin.ListWatchersRequest(page_size=3, page_token=token))
            listed += [watcher.watch_id for watcher in page.watchers]
            if not (token := page.next_page_token):
                break
        self.assertEqual((sorted(listed), len(listed)), (sorted(ids), 7))
        ending = failure(self.server.admin.ListWatchers, admin.ListWatchersRequest(page_token="?"))
        self.assertEqual(ending.reason, "INVALID_REQUEST")
        ending = failure(self.server.admin.ListWatchers, admin.ListWatchersRequest(source="none"))
        self.assertEqual(ending.reason, "SOURCE_NOT_FOUND")


if __name__ == "__main__":
    unittest.main()
