"""Requests made to hurt: too large, too many, too costly, and calls that never end.

Every server here is one that admits the admin service, whose calls are attacked, too.
"""

import os
import unittest

import grpc

from attack_http2 import RST_STREAM, WATCH, Connection, frame
from attack_siege import MIB, AttackTest
from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, await_true
from volume import Volume
from watch import ending_of, failure

# What an allocator keeps and the bystander's own swaps take, whatever the attack.
NOISE = 24 * MIB
# A message of 1 MiB is held as it came, as it was parsed, and, where the answer quotes it, in part once more.
REQUEST = 4 * MIB
# An open stream at most, its connection's part included.
STREAM = 64 << 10
STREAMS = 10000


def code_of(ending):
    return f"{ending.code.name}: {ending.message}"[:300]


class AttackRequestsTest(AttackTest):
    def besiege_volume(self, files=None, **settings):
        self.volume = Volume(self.path("volume"), files or {"good": b"1"})
        self.besiege({"demo": self.volume.path}, admin=True, **settings)

    def streams(self):
        return len(self.server.admin.ListWatchers(admin.ListWatchersRequest(page_size=1000), timeout=DEADLINE).watchers)

    def expect_refusal(self, name, code, text, call, request, growth_bytes=REQUEST):
        """A call that answers at once; `text` is part of the sentence."""
        with self.siege.attack(name, growth_bytes + NOISE) as attack:
            ending = failure(call, request)
            attack.answer = code_of(ending)
        self.assertEqual(ending.code.name, code, ending)
        self.assertIn(text, ending.message)
        self.assertLess(len(ending.message), 2000)

    def test_requests_that_are_too_large_or_have_too_much_are_refused_with_the_limit(self):
        self.besiege_volume()
        stub, control = self.server.stub, self.server.admin
        watch = lambda message, timeout: next(stub.Watch(message, timeout=timeout))
        refuse, request = self.expect_refusal, pb.WatchRequest
        million = request(source="demo", path_globs=["p"] * 340000)
        refuse("340 000 globs in 1 MiB", "INVALID_ARGUMENT", "at most 64", watch, million, 40 * MIB)
        million = request(source="demo", path_globs=[f"path/{i}" for i in range(1000000)])
        refuse("a million globs", "RESOURCE_EXHAUSTED", "max", watch, million)
        labels = request(source="demo", labels={str(i): "" for i in range(80000)})
        refuse("80 000 labels", "INVALID_ARGUMENT", "at most 16", watch, labels, 40 * MIB)
        refuse("glob of 900 KB", "INVALID_ARGUMENT", "1024", watch, request(source="demo", path_globs=["*" * 900000]))
        refuse("source of 900 KB", "NOT_FOUND", "no source", watch, request(source="\n" * 900000))
        refuse("client_id of 900 KB", "INVALID_ARGUMENT", "256", watch, request(source="demo", client_id="x" * 900000))
        refuse("version of 2^62", "NOT_FOUND", "retained", stub.GetSnapshot, pb.GetSnapshotRequest(source="demo", version=1 << 62))
        report = pb.ReportOutcomeRequest(watch_id="x", version=1, outcome=pb.OUTCOME_REJECTED, reason="x" * (3 * MIB))
        refuse("reason of 3 MiB", "RESOURCE_EXHAUSTED", "max", stub.ReportOutcome, report)
        report.reason = "x" * 900000
        report.watch_id = self.watch_id()
        refuse("reason of 900 KB", "INVALID_ARGUMENT", "1024", stub.ReportOutcome, report)
        report.reason, report.watch_id = "", "\n" * 900000
        refuse("watch_id of 900 KB", "NOT_FOUND", "no Watch stream", stub.ReportOutcome, report)
        for forged in ("x" * 900000, "////", "MTIz\n", "LTE"):
            shown = forged[:4]
            for name, call, message in (
                ("ListSnapshots", control.ListSnapshots, admin.ListSnapshotsRequest(source="demo")),
                ("DiffSnapshots", control.DiffSnapshots, admin.DiffSnapshotsRequest(source="demo")),
                ("ListWatchers", control.ListWatchers, admin.ListWatchersRequest()),
                ("ListSources", stub.ListSources, pb.ListSourcesRequest()),
            ):
                message.page_token = forged
                with self.siege.attack(f"{name} with page token {shown!r}", REQUEST + NOISE) as attack:
                    try:
                        attack.answer = str(call(message, timeout=DEADLINE))[:80].replace("\n", " ")
                    except grpc.RpcError as error:
                        attack.answer = code_of(ending_of(error))
                        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        rollback = admin.RollbackSnapshotRequest(source="demo", version=1, reason="x" * 900000)
        refuse("rollback for a reason of 900 KB", "INVALID_ARGUMENT", "1024", control.RollbackSnapshot, rollback)

    def watch_id(self):
        return self.watch(self.server).next_version().watch_id

    def test_a_resume_token_of_a_megabyte_is_one_that_is_not_known(self):
        self.besiege_volume()
        for name, token in (("x", "x" * 1000000), ("=", "=" * 1000000), ("-", "-" * 102)):
            with self.siege.attack(f"resume token of {len(token)} `{name}`", REQUEST + NOISE) as attack:
                call = self.server.stub.Watch(pb.WatchRequest(source="demo", resume_token=token))
                first = next(call)
                call.cancel()
                attack.answer = pb.WatchReason.Name(first.reason)
            self.assertEqual(first.reason, pb.WATCH_REASON_RESYNC)

    def test_globs_that_make_others_backtrack_take_time_by_their_length(self):
        files = {f"{i % 100}/{'a' * 40}{i}": b"" for i in range(5000)}
        self.besiege_volume(files)
        for name, glob in (
            ("glob `*a*a*a...b`", "*a" * 511 + "b"),
            ("glob of 341 `**/`", "**/" * 341),
            ("glob of 204 `**a/*`", "**a/*" * 204),
            ("glob of 1024 `*`", "*" * 1024),
        ):
            with self.siege.attack(name + ", 5000 files", NOISE) as attack:
                request = pb.WatchRequest(source="demo", path_globs=[glob], until_in_sync=True)
                got = list(self.server.stub.Watch(request, timeout=DEADLINE))
                attack.answer = f"{sum(len(message.snapshot.files) for message in got)} files"
    def test_more_views_than_allowed_are_refused_and_the_open_ones_go_on(self):
        self.besiege_volume(max_views_per_source=100)
        with self.siege.attack("1000 views where 100 are allowed", 1000 * STREAM + NOISE) as attack:
            calls = [self.server.stub.Watch(pb.WatchRequest(source="demo", path_globs=[f"good{i}", "good"])) for i in range(1000)]
            refused = []
            for call in calls:
                try:
                    next(call)
                except grpc.RpcError:
                    refused.append(ending_of(call))
            self.assertEqual({ending.reason for ending in refused}, {"TOO_MANY_VIEWS"})
            self.assertEqual(len(refused), 900)
            attack.answer = code_of(refused[0])
            for call in calls:
                call.cancel()
            await_true(lambda: self.streams() == 1, "the streams to be gone")

    def test_10000_streams_that_read_nothing_are_borne_and_ended(self):
        self.besiege_volume({"large": os.urandom(MIB)}, stall_timeout="2s")
        # Each connection takes 64 KiB of answers and no more: none of its streams gets a whole message.
        with self.siege.attack(f"{STREAMS} streams that read nothing", STREAMS * STREAM + NOISE) as attack:
            connections = [Connection(self.server.address) for _ in range(10)]
            for connection in connections:
                opened = [connection.call(WATCH, pb.WatchRequest(source="demo"))[0] for _ in range(STREAMS // 10)]
                connection.send(b"".join(opened))
            await_true(lambda: self.streams() >= 1000, "the streams to be open")
            for version in range(3):
                self.volume.swap({"large": os.urandom(MIB)})
            await_true(lambda: self.streams() == 1, "the stalled streams to be ended", 120)
            attack.answer = "all ended by stall_timeout, 2 s here"
            for connection in connections:
                connection.close()

    def test_more_streams_than_allowed_are_refused(self):
        self.besiege_volume(max_streams=500)
        with self.siege.attack("1000 streams where 500 are allowed", 1000 * STREAM + NOISE) as attack:
            calls = [self.server.stub.Watch(pb.WatchRequest(source="demo")) for _ in range(1000)]
            refused = []
            for call in calls:
                try:
                    next(call)
                except grpc.RpcError:
                    refused.append(ending_of(call))
            self.assertEqual({ending.reason for ending in refused}, {"TOO_MANY_STREAMS"})
            attack.answer = f"{len(refused)} refused, {code_of(refused[0])}"
            for call in calls:
                call.cancel()
            await_true(lambda: self.streams() == 1, "the streams to be gone")

    def test_20000_streams_opened_and_cancelled_at_once_leave_nothing(self):
        self.besiege_volume()
        # So many of them are open at once, max_streams_per_connection.
        with self.siege.attack("20 000 streams opened and reset at once", 4096 * STREAM + NOISE) as attack:
            connection = Connection(self.server.address)
            try:
                for _ in range(200):
                    burst = b""
                    for _ in range(100):
                        call, stream = connection.call(WATCH, pb.WatchRequest(source="demo"))
                        burst += call + frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                    connection.send(burst)
                attack.answer = "borne"
            except ConnectionError as error:
                attack.answer = f"connection ended: {error}"
            connection.close()
            await_true(lambda: self.streams() == 1, "the streams to be gone")

    def test_an_upload_that_never_ends_or_lies_is_cut_by_the_limits(self):
        self.besiege_volume()

        def upload(parts):
            return lambda _, timeout: self.server.admin.ValidateSnapshot(parts(), timeout=timeout)

        def endless():
            yield admin.ValidateSnapshotRequest(source="demo")
            offset = 0
            size = 1 << 40
            for _ in range(400):
                part = pb.ConfigFile(path="x", content=b"x" * 900000, content_offset=offset, size_bytes=size)
                offset += 900000
                yield admin.ValidateSnapshotRequest(files=[part])

        def many():
            yield admin.ValidateSnapshotRequest(source="demo")
            for i in range(100):
                files = [pb.ConfigFile(path=f"{i}/{j}") for j in range(10000)]
                yield admin.ValidateSnapshotRequest(files=files)

        def within():
            yield admin.ValidateSnapshotRequest(source="demo")
            for i in range(500):
                yield admin.ValidateSnapshotRequest(files=[pb.ConfigFile(path=f"{i}", content=b"x" * 900000)])

        def lies():
            yield admin.ValidateSnapshotRequest(source="demo")
            yield admin.ValidateSnapshotRequest(files=[pb.ConfigFile(path="x", content=b"xx", size_bytes=-1 << 62)])
            part = pb.ConfigFile(path="y", content=b"x", size_bytes=1 << 62)
            yield admin.ValidateSnapshotRequest(files=[part, part])

        refuse = self.expect_refusal
        refuse("upload of 1 TiB announced, 360 MB sent", "INVALID_ARGUMENT", "not whole", upload(endless), None, 8 * MIB)
        refuse("upload of a million files", "INVALID_ARGUMENT", "limits.max_files", upload(many), None, 21000 << 10)
        refuse("upload that lies about sizes", "INVALID_ARGUMENT", "not whole", upload(lies), None)
        with self.siege.attack("upload of 450 MB in good files", 64 * MIB + 8 * MIB + NOISE) as attack:
            answer = self.server.admin.ValidateSnapshot(within(), timeout=DEADLINE)
            attack.answer = f"{answer.violations[0].rule}: {answer.violations[0].message}"
            self.assertFalse(answer.valid)

    def test_uploads_that_hang_cost_what_they_have_sent(self):
        self.besiege_volume()
        method = "/confstream.v1.ConfigAdminService/ValidateSnapshot"
        part = pb.ConfigFile(path="x", content=b"x" * 900000, size_bytes=15 << 20)
        with self.siege.attack("100 uploads that hang after 16 KB", 100 * STREAM + NOISE) as attack:
            connections = [Connection(self.server.address) for _ in range(100)]
            for connection in connections:
                request = admin.ValidateSnapshotRequest(source="demo", files=[part])
                connection.send(connection.call(method, request, most=16000)[0])
            self.assertTrue(self.server.admin.ValidateSnapshot(
                iter([admin.ValidateSnapshotRequest(source="demo", files=[pb.ConfigFile(path="x")])]), timeout=DEADLINE
            ).valid)
            attack.answer = "another upload is answered meanwhile"
            for connection in connections:
                connection.close()


if __name__ == "__main__":
    unittest.main()
