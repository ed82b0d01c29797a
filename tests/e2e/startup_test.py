"""What is said and done before the server is ready."""

import os
import re
import socket
import subprocess
import unittest

import grpc

from attack_http2 import END_HEADERS, END_STREAM, HEADERS, Connection, call_headers, frame, header
from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc
from harness import DEADLINE, EndToEndTest, write
from volume import Volume


class StartupTest(EndToEndTest):
    def run_confstreamd(self, *arguments, **environment):
        """Runs it to its end: (exit code, all that it printed)."""
        result = subprocess.run(
            [os.environ["CONFSTREAMD"], *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return result.returncode, result.stdout

    def test_mistakes_end_the_program_before_it_listens_and_name_file_and_line(self):
        config = self.path("confstream.yaml")
        for content, line, named in (
            ("listen: ['127.0.0.1:0']\nsorces: {}\n", 2, "sources"),
            ("sources:\n  a:\n    path: /x\n    settle: soon\n", 4, "settle"),
            ("sources:\n  a: {path: /x}\n  a: {path: /y}\n", 3, "a"),
            ("sources:\n  a: {path: /x\n", 3, "confstream.yaml"),
        ):
            with self.subTest(content):
                write(config, content)
                code, text = self.run_confstreamd("--config", config)
                self.assertNotEqual(code, 0)
                self.assertIn(f"confstream.yaml:{line}", text)
                self.assertIn(named, text)
                self.assertNotIn('"ready"', text)

    def test_mistaken_flags_end_the_program_with_a_remedy(self):
        for flags, said in (
            (["--sorce", "a=/x"], "--source"),
            (["--source", "a"], "NAME=PATH"),
            (["--source", "a=/x", "--listen", "0.0.0.0:0"], "--allow-plaintext"),
            ([], "--source"),
        ):
            with self.subTest(flags):
                code, text = self.run_confstreamd(*flags)
                self.assertNotEqual(code, 0)
                self.assertIn(said, text)

    def test_a_port_that_is_in_use_is_an_error_that_names_it(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            code, text = self.run_confstreamd("--source", f"a={self.directory}", "--listen", address)
        self.assertEqual(code, 1)
        self.assertIn(f"cannot listen on {address}: Address already in use; choose another with --listen", text)

    def test_a_second_server_on_the_port_of_the_first_is_refused(self):
        Volume(self.path("volume"), {"a": "1"})
        server = self.serve()
        code, text = self.run_confstreamd("--source", f"a={self.directory}", "--listen", server.address)
        self.assertEqual(code, 1)
        self.assertIn(server.address, text)
        self.assertEqual(self.watch(server).next().version, 1)

    def test_the_ready_line_names_every_address_and_each_serves(self):
        Volume(self.path("volume"), {"a": "1"})
        socket_address = f"unix:{self.path('confstream.sock')}"
        server = self.serve(listen=["127.0.0.1:0", socket_address, "[::1]:0" if socket.has_ipv6 else "127.0.0.1:0"])
        self.assertEqual(len(server.addresses), 3)
        self.assertEqual(server.addresses[1], socket_address)
        self.assertRegex(server.addresses[0], re.compile(r"^127\.0\.0\.1:[1-9]\d*$"))
        for address in server.addresses:
            with grpc.insecure_channel(address) as channel:
                stub = config_service_pb2_grpc.ConfigServiceStub(channel)
                answer = stub.GetSnapshot(pb.GetSnapshotRequest(source="demo"), timeout=DEADLINE)
                self.assertEqual(answer.header.version, 1)

    def test_a_unix_socket_left_by_a_killed_server_does_not_stop_the_next(self):
        Volume(self.path("volume"), {"a": "1"})
        address = f"unix:{self.path('confstream.sock')}"
        server = self.serve(listen=[address])
        server.kill()
        self.assertEqual(self.watch(self.serve(listen=[address])).next().version, 1)

    def test_a_second_server_on_the_unix_socket_of_the_first_is_refused_and_leaves_it_in_place(self):
        Volume(self.path("volume"), {"a": "1"})
        address = f"unix:{self.path('confstream.sock')}"
        server = self.serve(listen=[address])
        for flag in ("--listen", "--admin-listen"):
            listen = ["--listen", "127.0.0.1:0"] if flag == "--admin-listen" else []
            code, text = self.run_confstreamd("--source", f"a={self.directory}", *listen, flag, address)
            self.assertEqual(code, 1)
            self.assertIn(f"cannot listen on {address}: another server answers there", text)
            self.assertIn(f"choose another with {flag}", text)
        self.assertEqual(self.watch(server).next().version, 1)
        server.close()
        self.assertFalse(os.path.exists(self.path("confstream.sock")))

    def test_whatever_grpc_and_protobuf_say_is_a_line_of_the_json_log(self):
        Volume(self.path("volume"), {"a": "1"})
        server = self.serve()
        with grpc.insecure_channel(server.address) as channel:
            list_sources = channel.unary_unary("/confstream.v1.ConfigService/GetSnapshot")
            with self.assertRaises(grpc.RpcError):
                list_sources(b"\x0a\x02\xff\xfe", timeout=DEADLINE)  # a source whose name is not UTF-8
        connection = Connection(server.address)
        self.addCleanup(connection.close)
        bad = call_headers("/confstream.v1.ConfigService/GetSnapshot") + header("grpc-timeout", "soon")
        connection.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bad))
        for library in ("gRPC", "protobuf"):
            server.await_log(library)
        server.close()
        self.assertEqual([line for line in server.log() if "message" not in line], [])

    def test_flags_win_over_environment_and_environment_over_the_file(self):
        config = self.path("confstream.yaml")
        write(config, f"sources: {{a: {{path: {self.directory}}}}}\nmax_streams: 1\nworkers: 1\nreflection_threads: 1\n")
        code, text = self.run_confstreamd(
            "--config", config, "--max-streams", "3", "--print-config", CONFSTREAM_MAX_STREAMS="2", CONFSTREAM_WORKERS="2"
        )
        self.assertEqual(code, 0)
        for line in ("max_streams: 3", "workers: 2", "reflection_threads: 1"):
            self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()
