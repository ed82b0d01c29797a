"""More connections than the server may have descriptors: streams that are open go on, content that changes is read, and
who comes when the flood is over is served at once.

The gRPC of Debian 12 listens no more for ever once accept() has failed (CVE-2023-4785).
"""

import resource
import unittest

import grpc

from attack_http2 import Connection
from attack_siege import MIB, AttackTest
from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc
from harness import DEADLINE, await_true
from volume import Volume

# What the server may have, and with how many of them open it takes no more connections.
DESCRIPTORS = 256
FULL = DESCRIPTORS * 3 // 4
CONNECTIONS = 600
REFUSED = "connections are refused"


class AttackDescriptorsTest(AttackTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), self.files(b"1"))
        self.besiege({"demo": self.volume.path})
        resource.prlimit(self.server.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

    def files(self, content):
        """More than a few, so that reading them takes descriptors."""
        return {f"file-{i}": content for i in range(30)}

    def flood(self):
        """More connections than the server takes."""
        flood = [Connection(self.server.address, greet=False) for _ in range(CONNECTIONS)]
        for connection in flood:
            self.addCleanup(connection.close)
        await_true(lambda: self.server.descriptors() >= FULL, "the server to be full")
        return flood

    def await_end_of(self, flood):
        for connection in flood:
            connection.close()
        await_true(lambda: self.server.descriptors() < DESCRIPTORS // 2, "the connections to be let go of")

    def is_closed(self, connection):
        """REQUIRES: a connection on which the server says nothing of itself."""
        connection.socket.settimeout(0)
        try:
            return connection.socket.recv(1024) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True

    def ask_anew(self):
        """The code of a call on a new connection."""
        with grpc.insecure_channel(self.server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                config_service_pb2_grpc.ConfigServiceStub(channel).ListSources(pb.ListSourcesRequest(), timeout=DEADLINE)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    def test_a_flood_of_connections_spares_open_streams_and_readings_and_ends_with_itself(self):
        stream = self.watch(self.server)
        stream.until(lambda event: event.files == self.files(b"1"))
        with self.siege.attack(f"{CONNECTIONS} connections, {DESCRIPTORS} descriptors", 24 * MIB) as attack:
            flood = self.flood()
            await_true(lambda: sum(map(self.is_closed, flood)) >= CONNECTIONS - FULL, "the others to be closed")
            self.volume.swap(self.files(b"2"))
            stream.until(lambda event: event.files == self.files(b"2"))
            self.assertEqual(self.ask_anew(), grpc.StatusCode.UNAVAILABLE)
            self.await_end_of(flood)
            self.assertEqual(self.ask_anew(), grpc.StatusCode.OK)
            attack.answer = "refused beyond three quarters of the descriptors"
        self.server.await_log(REFUSED)
        self.assertEqual(len(self.server.log(REFUSED)), 1, "one line, however many")

    def test_new_clients_are_served_after_each_of_many_floods(self):
        for _ in range(5):
            self.await_end_of(self.flood())
            self.assertEqual(self.ask_anew(), grpc.StatusCode.OK)


if __name__ == "__main__":
    unittest.main()
