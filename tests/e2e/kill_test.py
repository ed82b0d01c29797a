"""kill -9 at random moments, under swaps and rollbacks: whatever clients were told stays true.

CONFSTREAM_KILLS sets how often (60 unless set), CONFSTREAM_SEED repeats a run's random choices.
"""

import os
import random
import threading
import time
import unittest

import grpc

from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, EndToEndTest, await_true
from volume import Volume, start_storm
from watch import Watch

KILLS = int(os.environ.get("CONFSTREAM_KILLS", "60"))
SEED = int(os.environ.get("CONFSTREAM_SEED", random.randrange(1 << 32)))


class Broken(Exception):
    """A promise was broken. No AssertionError, which the end of a stream is, too."""


class Ledger:
    """What all clients were told of each version. Raises Broken when two of them were told different things."""

    def __init__(self):
        self._lock = threading.Lock()
        self._digests = {}  # (epoch, version) -> digest
        self._views = {}  # (epoch, version, globs) -> view digest

    def note(self, event, globs):
        header = event.header
        with self._lock:
            known = self._digests.setdefault((header.epoch, header.version), header.digest)
            if known != header.digest:
                raise Broken(f"version {header.version} of {header.epoch} has two contents")
            if event.view_digest:
                known = self._views.setdefault((header.epoch, header.version, globs), event.view_digest)
                if known != event.view_digest:
                    raise Broken(f"version {header.version} of {header.epoch} has two contents in {globs}")

    def __len__(self):
        return len(self._digests)


class Client:
    """Follows the source from server to server, as a program would; a thread of its own."""

    def __init__(self, test, ledger, **request):
        self._test = test
        self._ledger = ledger
        self._request = request
        self._globs = tuple(request.get("path_globs", ()))
        self._newest = {}  # epoch -> version
        self.held = None  # the last event that told of content
        self.fault = None
        self.contents = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stopping = True
        self._thread.join(DEADLINE)

    def _run(self):
        try:
            while not self._stopping:
                self._follow(self._test.address)
        except Exception as fault:  # told by the test's thread
            self.fault = fault

    def _follow(self, address):
        """One stream, until it ends or the server is another one."""
        token = self.held.token if self.held is not None else ""
        stream = Watch(address, source="demo", resume_token=token, held=self.held, **self._request)
        try:
            while not self._stopping and address == self._test.address:
                try:
                    event = stream.next(deadline=0.2)
                except AssertionError:  # it ended, or is merely quiet
                    if stream.fault is not None:
                        raise Broken(str(stream.fault)) from stream.fault
                    if not stream.alive():
                        break
                    continue
                self._take(event)
        finally:
            stream.close()
        time.sleep(0.005)

    def _take(self, event):
        header = event.header
        if header.version == 0:
            return
        self._ledger.note(event, self._globs)
        newest = self._newest.get(header.epoch, 0)
        if header.version < newest:
            raise Broken(f"{self._request}: version {header.version} after {newest} of {header.epoch}")
        self._newest[header.epoch] = header.version
        if event.kind == "snapshot":
            self.contents += 1
            wanted = {"a"} if self._globs else {"a", "b"}
            if set(event.files) != wanted or len(set(event.files.values())) != 1:
                raise Broken(f"torn: {event.files}")
        if event.files:
            self.held = event


class KillTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.volume = Volume(self.path("volume"), {"a": "number: 0\n", "b": "number: 0\n"})
        self.address = None
        self.starts = 0
        self.rollbacks = 0

    def start(self):
        settings = {"admin": True, "state_dir": self.path("state"), "defaults": {"history": {"max_versions": 50}}}
        # On every other server the disk is slow, so that much of what clients were told is not recorded at the kill.
        self.starts += 1
        server = self.serve(preload=os.environ["SLOW_SYNC"] if self.starts % 2 else "", **settings)
        self.address = server.address
        return server

    def roll_back(self, server):
        """To a version chosen at random, if the server lives for long enough."""
        try:
            listed = server.admin.ListSnapshots(admin.ListSnapshotsRequest(source="demo"), timeout=1).snapshots
            version = self.random.choice(listed).header.version
            server.admin.RollbackSnapshot(admin.RollbackSnapshotRequest(source="demo", version=version), timeout=1)
            self.rollbacks += 1
        except grpc.RpcError:
            pass

    def test_whatever_clients_were_told_stays_true_over_kills_at_random_moments(self):
        ledger = Ledger()
        server = self.start()
        modes = {"SNAPSHOT": pb.WATCH_MODE_SNAPSHOT, "DELTA": pb.WATCH_MODE_DELTA}
        clients = [
            Client(self, ledger, mode=modes["SNAPSHOT"]),
            Client(self, ledger, mode=modes["DELTA"]),
            Client(self, ledger, mode=modes["DELTA"], path_globs=["a"]),
        ]
        first = 1
        for _ in range(KILLS):
            swaps = self.random.randrange(1, 60)
            with start_storm(self.volume.path, first, swaps, f"{self.random.choice([1, 3, 10])}ms") as storm:
                killer = threading.Timer(self.random.uniform(0.0, 0.25), server.process.kill)
                killer.start()
                while killer.is_alive():
                    self.roll_back(server)
                killer.join()
                storm.wait()
            first += swaps
            server.close()
            server = self.start()
        self.volume.swap({"a": f"number: {first}\n", "b": f"number: {first}\n"})
        newest = b"number: %d\n" % first
        for client in clients:
            await_true(
                lambda client=client: client.fault or (client.held and client.held.files.get("a") == newest),
                f"seed {SEED}: a client to end at the newest content",
            )
        for client in clients:
            client.stop()
            if client.fault is not None:
                raise AssertionError(f"seed {SEED}") from client.fault
        print(f"seed {SEED}: {KILLS} kills, {self.rollbacks} rollbacks, {len(ledger)} versions seen,"
              f" {[client.contents for client in clients]} contents received")
        self.assertGreater(self.rollbacks, KILLS / 10)
        self.assertGreater(len(ledger), KILLS)


if __name__ == "__main__":
    unittest.main()
