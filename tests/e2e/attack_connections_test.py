"""Connections made to hurt: too many, silent, half open, and frames that no client library sends."""

import random
import resource
import time
import unittest

import grpc

from attack_http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WATCH,
    WINDOW_UPDATE,
    Connection,
    call_headers,
    frame,
    header,
    message,
)
from attack_siege import MIB, AttackTest
from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc
from harness import DEADLINE, await_true
from volume import Volume

# What an allocator keeps and the bystander's own swaps take, whatever the attack.
NOISE = 24 * MIB
# A connection without calls at most.
CONNECTION = 32 << 10


class AttackConnectionsTest(AttackTest):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.connection_count = min(10000, hard // 2)
        self.besiege({"demo": Volume(self.path("volume"), {"good": b"1"}).path})

    def connect(self, greets=True):
        connection = Connection(self.server.address, greets)
        self.addCleanup(connection.close)
        return connection

    def test_10000_connections_without_a_request_are_borne(self):
        n = self.connection_count
        for name, greets in (("that say nothing", False), ("that greet and ask for nothing", True)):
            with self.siege.attack(f"{n} connections {name}", n * CONNECTION + NOISE) as attack:
                held = [Connection(self.server.address, greets) for _ in range(n)]
                await_true(lambda: self.server.descriptors() > n, "the connections to be taken")
                self.assertEqual(self.ask_anew(), grpc.StatusCode.OK)
                attack.answer = "a new client is served beside them"
                for each in held:
                    each.close()

    def ask_anew(self):
        """The code of a call on a new connection."""
        with grpc.insecure_channel(self.server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            try:
                config_service_pb2_grpc.ConfigServiceStub(channel).ListSources(pb.ListSourcesRequest(), timeout=DEADLINE)
            except grpc.RpcError as error:
                return error.code()
        return grpc.StatusCode.OK

    def test_a_connection_that_stays_silent_or_stops_in_the_preface_is_closed(self):
        with self.siege.attack("connections that say nothing, or stop in the preface or a frame", NOISE) as attack:
            began = time.monotonic()
            connections = [self.connect(greets=False) for _ in range(3)]
            for connection, said in zip(connections, (b"", PREFACE[:10], PREFACE + b"\0")):
                connection.send(said)
            for connection in connections:
                while connection.socket.recv(1024):
                    pass  # the server's settings and its farewell
            attack.answer = f"closed after {time.monotonic() - began:.0f} s"

    def test_metadata_floods_cost_what_was_sent_and_others_are_served(self):
        # gRPC 1.51 applies its limit to each frame by itself, so that these are no refusals; see docs/limits.md.
        floods = {
            "a header of 1 MiB": header("x", b"x" * MIB),
            "20 000 headers": b"".join(header(f"x{i}", b"y" * 30) for i in range(20000)),
            "64 MiB of headers": header("x", b"y" * 16000) * 4200,
        }
        for name, headers in floods.items():
            block = call_headers(WATCH) + headers
            with self.siege.attack(f"metadata: {name}", 4 * len(block) + NOISE) as attack:
                connection = self.connect()
                connection.send(self.in_frames(block))
                connection.send(frame(DATA, END_STREAM, 1, message(pb.WatchRequest(source="demo"))))
                attack.answer = connection.ending()
                connection.close()
                self.assertEqual(self.ask_anew(), grpc.StatusCode.OK)

    def in_frames(self, block):
        """A block of headers in HEADERS and CONTINUATION frames."""
        parts = [block[at : at + 16384] for at in range(0, len(block), 16384)]
        sent = [frame(CONTINUATION, 0, 1, part) for part in parts]
        sent[0] = frame(HEADERS, 0, 1, parts[0])
        return b"".join(sent[:-1]) + frame(CONTINUATION, END_HEADERS, 1, parts[-1])

    def flood(self, name, send, growth_bytes=NOISE):
        """`send` gets a connection; whatever becomes of it, others are served."""
        with self.siege.attack(name, growth_bytes) as attack:
            connection = self.connect()
            try:
                send(connection)
                connection.finish()
                attack.answer = "borne"
            except OSError as error:  # the server has ended it
                attack.answer = f"connection ended: {error.strerror or error}"
            self.assertEqual(self.ask_anew(), grpc.StatusCode.OK)
            connection.close()

    def test_floods_of_frames_do_not_keep_others_from_being_served(self):
        def times(count, sent):
            return lambda connection: [connection.send(sent * 100) for _ in range(count // 100)]

        def call_first(send):
            def sent(connection):
                connection.send(frame(HEADERS, END_HEADERS, 1, call_headers(WATCH)))
                send(connection)

            return sent

        # A ping is answered until the second strike; until that is read, answers wait in memory.
        self.flood("100 000 pings", times(100000, frame(PING, 0, 0, b"12345678")), 128 * MIB)
        self.flood("100 000 settings", times(100000, frame(SETTINGS, 0, 0)))
        self.flood("100 000 resets of streams that are not", times(100000, frame(RST_STREAM, 0, 1, b"\0\0\0\x08")))
        self.flood("100 000 window updates", times(100000, frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")))
        self.flood("100 000 empty messages' frames", call_first(times(100000, frame(DATA, 0, 1))))
        self.flood("a megabyte of noise", lambda connection: connection.send(random.Random(1).randbytes(MIB)))
        request = pb.WatchRequest(source="demo")
        no_window = frame(SETTINGS, 0, 0, b"\0\4\0\0\0\0")
        self.flood("a stream with a window of 0", lambda it: it.send(no_window + it.call(WATCH, request)[0]))


if __name__ == "__main__":
    unittest.main()
