"""kill -9 at random moments, under swaps and rollbacks: whatever clients were told stays true.

CONFSTREAM_KILLS sets how often (60 unless set), CONFSTREAM_SEED repeats a run's random choices.
"""

import contextlib
import os
import random
import threading
import unittest

from checker import Checker
from confstream.v1 import config_service_pb2 as pb
from follower import Follower
from harness import DEADLINE, EndToEndTest
from recorded_server import RecordedServer
from recording import Recorder
from records import ChangeBegun, ChangeEnded
from volume import Volume, start_storm

KILLS = int(os.environ.get("CONFSTREAM_KILLS", "60"))
SEED = int(os.environ.get("CONFSTREAM_SEED", random.randrange(1 << 32)))
CLIENTS = {
    "latest": {},
    "delta": {"mode": pb.WATCH_MODE_DELTA},
    "view": {"mode": pb.WATCH_MODE_DELTA, "path_globs": ["a"]},
}


class KillTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.checker = Checker()
        self.recorder = Recorder(take=self.checker.take)
        self.volume = Volume(self.path("volume"))
        with self.changing(0, 1):
            self.volume.swap({"a": "number: 0\n", "b": "number: 0\n"})
        self.server = RecordedServer(self.directory, {"demo": self.volume.path}, self.recorder, max_versions=50)
        self.addCleanup(self.server.close)
        self.rollbacks = 0

    @contextlib.contextmanager
    def changing(self, first, swaps):
        """Records that the volume gets the contents of these swaps."""
        digests = []
        for number in range(first, first + swaps):
            content = b"number: %d\n" % number
            digests.append(self.recorder.content({"a": content, "b": content}))
        fields = {"what": "storm", "valid": tuple(digests), "newest": digests[-1]}
        self.recorder.add(ChangeBegun(source="demo", change=first, **fields))
        yield
        self.recorder.add(ChangeEnded(source="demo", change=first))

    def start(self, count):
        # On every other server the disk is slow, so that much of what clients were told is not recorded at the kill.
        self.server.start(preload=os.environ["SLOW_SYNC"] if count % 2 else "")

    def follow(self, name, **request):
        client = Follower(name, self.server.place, self.recorder, source="demo", **request)
        self.addCleanup(client.stop)
        return client

    def test_whatever_clients_were_told_stays_true_over_kills_at_random_moments(self):
        self.start(0)
        clients = [self.follow(name, **request) for name, request in CLIENTS.items()]
        first = 1
        for count in range(1, KILLS + 1):
            swaps = self.random.randrange(1, 60)
            interval = f"{self.random.choice([1, 3, 10])}ms"
            with self.changing(first, swaps), start_storm(self.volume.path, first, swaps, interval) as storm:
                killer = threading.Timer(self.random.uniform(0.0, 0.25), self.server.signal, ["KILL"])
                killer.start()
                while killer.is_alive():
                    self.rollbacks += self.server.roll_back("demo", self.random)
                killer.join()
                storm.wait()
            first += swaps
            self.server.reap()
            self.start(count)
        with self.changing(first, 1):
            self.volume.swap({"a": f"number: {first}\n", "b": f"number: {first}\n"})
        self.server.come_to_rest(self.checker, CLIENTS, DEADLINE)
        for client in clients:
            client.stop()
        self.server.close()
        broken = self.checker.finish()
        self.assertEqual(broken, [], f"seed {SEED}:\n" + "\n".join(map(str, broken[:3])))
        versions = self.recorder.counts["Published"]
        print(f"seed {SEED}: {KILLS} kills, {self.rollbacks} rollbacks, {versions} versions published,"
              f" {[client.contents for client in clients]} contents received")
        self.assertGreater(self.rollbacks, KILLS / 10)
        self.assertGreater(versions, KILLS)


if __name__ == "__main__":
    unittest.main()
