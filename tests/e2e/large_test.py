"""Content that is larger than a message: default channel options, so 4 MiB at most."""

import random
import unittest

import grpc

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest
from volume import Volume
from watch import failure

MIB = 1 << 20


class LargeTest(EndToEndTest):
    def check_arrival(self, files, **source):
        """Serves `files` and sees that they, and a change of them, reach a client whole."""
        volume = Volume(self.path("volume"), files)
        server = self.serve({"demo": {"path": volume.path, **source}})
        stream = self.watch(server)
        first = stream.next()
        self.assertEqual((first.kind, first.version), ("snapshot", 1))
        self.assertTrue(first.files == files, "other content arrived")
        total = sum(map(len, files.values()))
        self.assertGreaterEqual(first.fragments, total / (4 * MIB))
        files = {**files, "more": b"x"}
        volume.swap(files)
        second = stream.next()
        self.assertEqual((second.kind, second.version), ("snapshot", 2))
        self.assertTrue(second.files == files, "other content arrived")
        print(f"{len(files)} files, {total} bytes, {first.fragments} fragments")
        return server, files

    def test_a_source_of_20_mib_reaches_a_client_with_default_options(self):
        source = random.Random(1)
        server, files = self.check_arrival({f"{i}.bin": source.randbytes(2 * MIB) for i in range(10)})
        too_large = failure(server.stub.GetSnapshot, pb.GetSnapshotRequest(source="demo"))
        self.assertEqual((too_large.code, too_large.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED, "SNAPSHOT_TOO_LARGE"))
        self.assertIn("until_in_sync", too_large.message)
        request = pb.GetSnapshotRequest(source="demo", view=pb.SNAPSHOT_VIEW_METADATA)
        metadata = server.stub.GetSnapshot(request).snapshot
        self.assertEqual({file.path: file.size_bytes for file in metadata.files}, {p: len(c) for p, c in files.items()})
        self.assertFalse(any(file.content for file in metadata.files))
        part = server.stub.GetSnapshot(pb.GetSnapshotRequest(source="demo", path_globs=["3.bin"])).snapshot
        self.assertEqual([(file.path, file.content == files["3.bin"]) for file in part.files], [("3.bin", True)])
        fetched = self.watch(server, until_in_sync=True)
        self.assertTrue(fetched.next().files == files, "other content arrived")
        self.assertEqual(fetched.end().code, grpc.StatusCode.OK)

    def test_a_single_file_of_20_mib_reaches_a_client_with_default_options(self):
        content = random.Random(2).randbytes(20 * MIB + 1)
        self.check_arrival({"large.bin": content}, limits={"max_file_size": "32MiB"})

    def test_ten_thousand_small_files_reach_a_client_with_default_options(self):
        self.check_arrival({f"{i % 100}/{i}.txt": b"%d" % i for i in range(9800)})


if __name__ == "__main__":
    unittest.main()
