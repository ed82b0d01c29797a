"""The end of the server, and new configurations while it runs."""

import os
import queue
import signal
import threading
import unittest

import grpc

from attack_http2 import DATA, GOAWAY, HEADERS, PING, WATCH, Connection
from client import run_client
from confstream.internal import grpc_protocols_pb2
from confstream.v1 import admin_service_pb2 as admin
from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, EndToEndTest, await_true
from volume import Volume
from watch import Watch, failure


class ShutdownTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "1", "large": "x" * 1000000})

    def test_sigterm_ends_every_stream_with_draining_and_a_jittered_retry_hint(self):
        server = self.serve(shutdown_grace="10m")  # nothing is left that would need it
        streams = [self.watch(server, path_globs=["a"]) for _ in range(20)]
        for stream in streams:
            stream.next_version()
        self.assertEqual(server.terminate(), 0)
        delays = set()
        for stream in streams:
            ending = stream.end()
            self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.UNAVAILABLE, "DRAINING"))
            self.assertGreater(ending.retry_seconds, 0)
            delays.add(ending.retry_seconds)
        self.assertGreater(len(delays), 10)
        self.assertEqual(server.log()[-1]["message"], "stopped")

    def test_sigterm_ends_streams_before_connections_so_that_no_client_loses_the_reason(self):
        server = self.serve()
        connections = [Connection(server.address) for _ in range(20)]
        frames = [connection.frames() for connection in connections]
        for connection, of_it in zip(connections, frames):
            self.addCleanup(connection.close)
            call, _ = connection.call(WATCH, pb.WatchRequest(source="demo", path_globs=["a"]))
            connection.send(call)
            self.assertIn(DATA, (kind for kind, _, _, _ in of_it))
        server.process.send_signal(signal.SIGTERM)
        for of_it in frames:
            kinds = [kind for kind, _, _, _ in of_it]
            # The client's answer to the last ping is what the server closes the connection upon.
            self.assertLess(kinds.index(HEADERS), kinds.index(GOAWAY), kinds)
            self.assertIn(PING, kinds[kinds.index(GOAWAY) :])
        self.assertEqual(server.wait(), 0)

    def test_sigterm_tells_health_watchers_not_serving_before_it_cuts_them(self):
        server = self.serve(shutdown_grace="2s")
        watch = server.channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=grpc_protocols_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=grpc_protocols_pb2.HealthCheckResponse.FromString,
        )
        told = {}
        for service in ("", "confstream.v1.ConfigService", "source/demo"):
            told[service] = watch(grpc_protocols_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
            self.assertEqual(next(told[service]).status, grpc_protocols_pb2.HealthCheckResponse.SERVING)
        server.process.send_signal(signal.SIGTERM)
        for service, call in told.items():
            self.assertEqual(next(call).status, grpc_protocols_pb2.HealthCheckResponse.NOT_SERVING, service)
        self.assertEqual(server.wait(), 0)

    def test_sigterm_is_not_held_up_by_a_stream_that_never_reads(self):
        server = self.serve(stall_timeout="1h", shutdown_grace="1s")
        stalled = Watch(server.address, source="demo", paused=True)
        self.addCleanup(stalled.close)
        reader = self.watch(server)
        for number in range(2, 6):
            self.volume.swap({"a": str(number), "large": str(number) * 1000000})
            reader.until(lambda event, number=number: event.files["a"] == b"%d" % number)
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(reader.end().reason, "DRAINING")

    def test_sigterm_is_not_held_up_by_a_client_that_reads_nothing_from_its_socket(self):
        address = "unix:" + self.path("socket")
        server = self.serve(listen=["127.0.0.1:0", address], shutdown_grace="1s", admin=True)
        self.volume.swap({f"large-{number}": str(number) * 4000000 for number in range(3)})
        self.watch(server).until(lambda event: len(event.files) == 3)
        connection = Connection(address)
        self.addCleanup(connection.close)
        connection.open_windows()
        call, _ = connection.call(WATCH, pb.WatchRequest(source="demo"))
        connection.send(call)
        everybody = admin.ListWatchersRequest()
        await_true(lambda: len(server.admin.ListWatchers(everybody).watchers) == 2, "the stream to be open")
        self.assertEqual(server.terminate(), 0)
        self.assertEqual(server.log()[-1]["message"], "stopped")

    def test_sigint_ends_the_server_like_sigterm(self):
        server = self.serve()
        stream = self.watch(server)
        stream.next_version()
        server.process.send_signal(signal.SIGINT)
        self.assertEqual(stream.end().reason, "DRAINING")
        self.assertEqual(server.wait(), 0)

    def test_sigterm_while_content_changes_and_streams_come_and_go_ends_well(self):
        for _ in range(5):
            server = self.serve()
            stop = threading.Event()
            endings = queue.Queue()

            def come_and_go(server=server, stop=stop, endings=endings):
                while not stop.is_set():
                    stream = Watch(server.address, source="demo", path_globs=["a"], until_in_sync=True)
                    endings.put(stream.end())
                    stream.close()

            clients = [threading.Thread(target=come_and_go) for _ in range(4)]
            for client in clients:
                client.start()
            try:
                for number in range(100):
                    self.volume.swap({"a": str(number)})
                self.assertEqual(server.terminate(), 0)
            finally:
                stop.set()
                for client in clients:
                    client.join()
            # A call that gRPC had not handed over yet when it was shut down is CANCELLED: clients retry that, too.
            allowed = (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
            self.assertEqual([ending for ending in endings.queue if ending.code not in allowed], [])
            self.assertIn(grpc.StatusCode.OK, {ending.code for ending in endings.queue})


class ReloadTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volumes = {name: Volume(self.path(name), {"of": name}) for name in ("one", "two", "three")}
        self.paths = {name: volume.path for name, volume in self.volumes.items()}

    def test_a_removed_source_ends_its_streams_and_leaves_the_others_alone(self):
        server = self.serve({name: self.paths[name] for name in ("one", "two")})
        kept, removed = self.watch(server, "one"), self.watch(server, "two")
        kept.next_version()
        removed.next_version()
        server.configure({"one": self.paths["one"]})
        server.reload()
        ending = removed.end()
        self.assertEqual((ending.code, ending.reason), (grpc.StatusCode.NOT_FOUND, "SOURCE_REMOVED"))
        self.assertEqual(self.watch(server, "two").end().reason, "SOURCE_NOT_FOUND")
        self.assertEqual(failure(server.stub.GetSnapshot, pb.GetSnapshotRequest(source="two")).reason, "SOURCE_NOT_FOUND")
        await_true(lambda: server.health("source/two") == "NOT_SERVING", "health of the removed source")
        self.volumes["one"].swap({"of": "one again"})
        event = kept.next()
        self.assertEqual((event.kind, event.version), ("snapshot", 2))

    def test_a_removed_source_that_comes_back_goes_on_with_its_history(self):
        server = self.serve(self.paths)
        stream = self.watch(server, "two")
        old = stream.next_version()
        server.configure({"one": self.paths["one"]})
        server.reload()
        self.assertEqual(stream.end().reason, "SOURCE_REMOVED")
        server.configure(self.paths)
        server.reload()
        again = self.watch(server, "two")
        new = again.next_version()
        self.assertEqual((new.files, new.token), (old.files, old.token))
        resumed = self.watch(server, "two", resume_token=old.token).next()
        self.assertEqual((resumed.kind, resumed.in_sync), ("heartbeat", True))

    def test_an_added_source_is_served(self):
        server = self.serve({"one": self.paths["one"]})
        kept = self.watch(server, "one")
        kept.next_version()
        server.configure(self.paths)
        server.reload()
        self.assertEqual(self.watch(server, "three").next_version().files, {"of": b"three"})
        self.volumes["one"].swap({"of": "one again"})
        self.assertEqual(kept.next().version, 2)

    def test_changed_settings_keep_streams_open_and_take_effect(self):
        server = self.serve({"one": self.paths["one"]})
        stream = self.watch(server, "one")
        first = stream.next_version()
        server.configure({"one": {"path": self.paths["one"], "exclude": ["*.bak"], "settle": "1s"}})
        server.reload()
        self.volumes["one"].swap({"of": "one", "x.bak": "1"})  # excluded: no version
        self.volumes["one"].swap({"of": "again", "x.bak": "2"})
        event = stream.next()
        self.assertEqual((event.kind, event.version, event.files), ("snapshot", 2, {"of": b"again"}))
        self.assertEqual(event.header.epoch, first.header.epoch)

    def test_another_path_for_a_source_keeps_streams_open_and_publishes_its_content(self):
        server = self.serve({"one": self.paths["one"]})
        stream = self.watch(server, "one")
        first = stream.next_version()
        server.configure({"one": self.paths["two"]})
        server.reload()
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (2, {"of": b"two"}))
        self.assertEqual(event.header.epoch, first.header.epoch)
        self.volumes["one"].swap({"of": "nobody cares"})
        self.volumes["two"].swap({"of": "two again"})
        event = stream.next_version()
        self.assertEqual((event.version, event.files), (3, {"of": b"two again"}))

    def test_a_bad_configuration_is_refused_and_the_old_one_stays(self):
        server = self.serve(self.paths, admin=True)
        stream = self.watch(server, "one")
        stream.next_version()
        config = os.path.join(self.directory, "confstream.yaml")
        for bad in ("sources: [", "sorces: {}", '{"sources": {"one": {"path": "/x", "settle": "soon"}}}'):
            with open(config, "w", encoding="utf-8") as file:
                file.write(bad)
            server.reload("configuration not reloaded, the old one stays")
        for line in server.log("configuration not reloaded, the old one stays"):
            self.assertEqual(line["level"], "error")
            self.assertIn("confstream.yaml", line["reason"])
            code, output, _ = run_client(server, "status", "one")
            self.assertEqual(code, 4)
            self.assertIn("configuration: REFUSED at ", output)
            self.assertIn("confstream.yaml", output)
        for name in self.volumes:
            self.assertEqual(self.watch(server, name).next_version().files, {"of": name.encode()})
            _, output, _ = run_client(server, "events", name)
            self.assertIn("the configuration was not reloaded, the old one stays: ", output)
        self.volumes["one"].swap({"of": "one again"})
        self.assertEqual(stream.next().version, 2)
        server.configure(self.paths, admin=True)
        server.reload()
        code, output, _ = run_client(server, "status", "one")
        self.assertEqual(code, 0)
        self.assertNotIn("REFUSED", output)

    def test_settings_that_need_a_restart_are_named_when_they_change(self):
        server = self.serve(self.paths, stall_timeout="30s")
        server.configure(self.paths, stall_timeout="20s", max_streams=7)
        server.reload()
        self.assertEqual(server.await_log("settings change with a restart only")["settings"], "stall_timeout max_streams")

    def test_reloading_the_same_configuration_wakes_nobody(self):
        server = self.serve(self.paths)
        stream = self.watch(server, "one")
        stream.next_version()
        for _ in range(5):
            server.reload()
        self.volumes["one"].swap({"of": "one again"})
        event = stream.next()
        self.assertEqual((event.kind, event.version), ("snapshot", 2))


if __name__ == "__main__":
    unittest.main()
