"""Thousands of streams, and one that never reads."""

import threading
import unittest

import grpc

from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc
from harness import DEADLINE, EndToEndTest, await_true
from volume import Volume

LIST_SERVICES = b"\x3a\x01*"  # a ServerReflectionRequest with list_services
LARGE = 300000  # several flow-control windows, as long as they do not grow
# A connection whose windows stay at 64 KiB.
FIXED_WINDOW = ("grpc.http2.bdp_probe", 0)


class ManyStreamsTest(EndToEndTest):
    CONNECTIONS, WATCHES, LARGE_WATCHES, REFLECTIONS = 20, 1999, 50, 200

    def connect(self, server):
        channel = grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1), FIXED_WINDOW])
        self.addCleanup(channel.close)
        return channel

    def open_watches(self, channels):
        """Most watch one small file, some the large one, too."""
        calls = []
        for i in range(self.WATCHES):
            globs = [] if i < self.LARGE_WATCHES else ["small"]
            stub = config_service_pb2_grpc.ConfigServiceStub(channels[i % len(channels)])
            calls.append(stub.Watch(pb.WatchRequest(source="demo", path_globs=globs)))
        return calls

    def reflect(self, channel):
        """Opens a reflection stream, asks one question and leaves it open."""
        reflection = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")

        def requests():
            yield LIST_SERVICES
            self.reflections_done.wait()

        return reflection(requests())

    def expect_version(self, calls, version, content):
        for call in calls:
            message = next(call)
            self.assertEqual(message.WhichOneof("event"), "snapshot", message)
            self.assertEqual((message.header.version, message.in_sync), (version, True))
            self.assertEqual({file.path: file.content for file in message.snapshot.files}["small"], content)

    def test_2000_watches_are_served_by_few_threads_and_one_that_never_reads_delays_nobody(self):
        volume = Volume(self.path("volume"), {"small": "1", "large": "1" * LARGE})
        server = self.serve(stall_timeout="20s", shutdown_grace="1s", max_streams=self.WATCHES + 1)
        channels = [self.connect(server) for _ in range(self.CONNECTIONS)]
        calls = self.open_watches(channels)
        self.expect_version(calls, 1, b"1")
        threads = {"with 1999 streams": server.threads()}
        # It shares its connection with others, and takes no message: one of the first blocks.
        stalled = config_service_pb2_grpc.ConfigServiceStub(channels[0]).Watch(pb.WatchRequest(source="demo"))
        for version in (2, 3, 4):
            volume.swap({"small": str(version), "large": str(version) * LARGE})
            self.expect_version(calls, version, b"%d" % version)
            self.assertFalse(self.has_room(server), "the stalled stream was ended before the others had the version")
        threads["with 2000 streams"] = server.threads()
        print(f"threads: {threads}")
        self.assertLessEqual(max(threads.values()), 32)
        await_true(lambda: self.has_room(server), "the stalled stream to be ended", 120)
        with self.assertRaises(grpc.RpcError) as ended:
            list(stalled)
        self.assertEqual(ended.exception.code(), grpc.StatusCode.CANCELLED)
        volume.swap({"small": "5", "large": "5"})
        self.expect_version(calls, 5, b"5")
        for call in calls:
            call.cancel()

    def has_room(self, server):
        """True if the server, which is at max_streams with the stalled one, lets another stream in."""
        try:
            return len(list(server.stub.Watch(pb.WatchRequest(source="demo", path_globs=["small"], until_in_sync=True)))) > 0
        except grpc.RpcError as error:
            self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
            return False

    def test_200_reflection_streams_beside_2000_watches_stay_within_the_quota_of_threads(self):
        volume = Volume(self.path("volume"), {"small": "1", "large": "1"})
        server = self.serve(reflection_threads=4, shutdown_grace="1s")
        calls = self.open_watches([self.connect(server) for _ in range(self.CONNECTIONS)])
        self.expect_version(calls, 1, b"1")
        before = server.threads()
        self.reflections_done = threading.Event()
        self.addCleanup(self.reflections_done.set)
        channel = self.connect(server)
        # Calls that wait for a connection are started in no fixed order: the first is opened alone.
        reflections = [self.reflect(channel)]
        self.assertIn(b"confstream.v1.ConfigService", next(reflections[0]))
        reflections += [self.reflect(channel) for _ in range(self.REFLECTIONS - 1)]
        await_true(lambda: server.threads() >= before + 3, "reflection to take its threads", DEADLINE)
        for version in range(2, 12):
            volume.swap({"small": str(version), "large": "1"})
            self.expect_version(calls, version, b"%d" % version)
            # The quota, one that polls for new calls, and a few that gRPC starts for timers when it is busy.
            self.assertLessEqual(server.threads(), before + 4 + 1 + 4)
        print(f"threads: {before}, and {server.threads()} with {self.REFLECTIONS} reflection streams")
        for call in reflections + calls:
            call.cancel()


if __name__ == "__main__":
    unittest.main()
