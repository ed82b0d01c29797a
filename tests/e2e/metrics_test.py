"""What Prometheus scrapes, and docs/metrics.md, which must say what it is."""

import os
import re
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request

from confstream.v1 import admin_service_pb2 as admin_pb
from harness import DEADLINE, EndToEndTest, await_true, write
from metrics import Metrics
from volume import Volume

DOCUMENT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")


class MetricsTest(EndToEndTest):
    def serve(self, sources=None, **settings):
        return super().serve(sources, metrics_listen=["127.0.0.1:0"], **settings)

    def test_the_version_moves_with_each_swap_and_states_follow_the_content(self):
        volume = Volume(self.path("volume"), {"app.yaml": "a: 1\n"})
        server = self.serve()
        stream = self.watch(server)
        stream.next_version()
        before = Metrics(server)
        self.assertEqual(before.of("demo", "version"), 1)
        self.assertEqual(before.states("demo"), {"SERVING"})
        self.assertEqual((before.of("demo", "files"), before.of("demo", "size_bytes")), (1, 5))
        self.assertEqual(before.value("confstream_streams"), 1)
        for name in ("violations", "polling", "pinned", "schemas_failing", "history_failing"):
            self.assertEqual(before.of("demo", name), 0, name)

        volume.swap({"app.yaml": "a: [1\n", "b": "1"})
        stream.next_status("DEGRADED")
        refused = Metrics(server)
        self.assertEqual(refused.states("demo"), {"DEGRADED"})
        self.assertGreaterEqual(refused.of("demo", "violations"), 1)
        self.assertEqual((refused.of("demo", "version"), refused.of("demo", "files")), (1, 1))

        volume.swap({"app.yaml": "a: 2\n", "b": "1"})
        self.assertEqual(stream.next_version().version, 2)
        mended = Metrics(server)
        self.assertEqual(mended.states("demo"), {"SERVING"})
        self.assertEqual((mended.of("demo", "version"), mended.of("demo", "violations")), (2, 0))
        self.assertEqual(mended.of("demo", "files"), 2)
        for name in ("publish_time_seconds", "verified_time_seconds"):
            self.assertGreater(mended.of("demo", name), before.of("demo", name), name)

    def test_a_source_that_waits_and_one_that_is_polled_are_told_and_rescans_have_their_reason(self):
        Volume(self.path("volume"), {"a": "1"})
        server = self.serve(
            {
                "missing": self.path("nowhere"),
                "polled": {"path": self.path("volume"), "always_poll": True, "poll_interval": "100ms"},
            }
        )
        metrics = Metrics(server)
        self.assertEqual((metrics.states("missing"), metrics.states("polled")), ({"WAITING"}, {"SERVING"}))
        self.assertEqual((metrics.of("missing", "version"), metrics.of("polled", "version")), (None, 1))
        self.assertEqual((metrics.of("missing", "polling"), metrics.of("polled", "polling")), (0, 1))
        polled = 'confstream_rescans_total{reason="polled"}'
        requested = 'confstream_rescans_total{reason="requested"}'
        self.assertEqual(metrics.value(requested), 0)
        await_true(lambda: Metrics(server).value(polled) > metrics.value(polled), "a look at the polled source")
        server.reload()
        self.assertGreaterEqual(Metrics(server).value(requested), 1)

    def test_a_pin_is_told_and_nothing_of_the_length_of_a_sensitive_source(self):
        volume = Volume(self.path("volume"), {"password": "1"})
        server = self.serve({"demo": {"path": volume.path, "sensitive": True}}, admin=True)
        stream = self.watch(server)
        stream.next_version()
        volume.swap({"password": "22"})
        stream.next_version()
        server.admin.RollbackSnapshot(admin_pb.RollbackSnapshotRequest(source="demo", version=1, expected_version=2))
        metrics = Metrics(server)
        self.assertEqual((metrics.of("demo", "version"), metrics.of("demo", "pinned")), (3, 1))
        self.assertEqual((metrics.of("demo", "files"), metrics.of("demo", "size_bytes")), (1, None))

    def test_sources_that_are_removed_or_added_by_sighup_are_so_here_and_the_address_stays(self):
        Volume(self.path("volume"), {"a": "1"})
        server = self.serve({"one": self.path("volume"), "two": self.path("volume")})
        await_true(lambda: Metrics(server).of("two", "version") == 1, "the version of `two`")
        server.configure({"two": self.path("volume"), "three": self.path("volume")}, metrics_listen=[])
        server.reload()
        self.assertEqual(server.await_log("settings change with a restart only")["settings"], "metrics_listen")
        await_true(lambda: Metrics(server).of("three", "version") == 1, "the version of `three`")
        self.assertEqual(Metrics(server).sources(), {"two", "three"})

    def test_they_are_off_by_default_and_an_address_in_use_is_refused_with_the_remedy(self):
        Volume(self.path("volume"), {"a": "1"})
        self.assertEqual(super().serve().await_log("ready")["metrics"], "off")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            flags = ["--source", f"a={self.directory}", "--listen", "127.0.0.1:0", "--metrics-listen", address]
            result = subprocess.run(
                [os.environ["CONFSTREAMD"], *flags],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
                check=False,
            )
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"cannot serve metrics on {address}: the address is in use", result.stderr)
        self.assertIn("choose another with --metrics-listen", result.stderr)

    def test_whoever_is_connected_and_silent_keeps_the_server_neither_from_serving_nor_from_its_end(self):
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve(shutdown_grace="10s")
        stream = self.watch(server)
        stream.next_version()
        host, port = server.await_log("ready")["metrics"].split(":")
        for _ in range(12):
            silent = socket.create_connection((host, int(port)))
            self.addCleanup(silent.close)
            silent.sendall(b"GET /metr")
        volume.swap({"a": "2"})
        self.assertEqual(stream.next_version().version, 2)
        await_true(lambda: Metrics(server).of("demo", "version") == 2, "a scrape, once the silent are sent away")
        stream.cancel()
        before = time.monotonic()
        self.assertEqual(server.terminate(), 0)
        self.assertLess(time.monotonic() - before, 10)

    def test_only_metrics_are_there(self):
        Volume(self.path("volume"), {"a": "1"})
        server = self.serve()
        address = server.await_log("ready")["metrics"]
        for path in ("/", "/volume/a", "/../../../../etc/passwd"):
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(f"http://{address}{path}", timeout=DEADLINE)
            self.assertEqual(refused.exception.code, 404)
            refused.exception.close()


class DocumentTest(EndToEndTest):
    def test_every_metric_is_documented_with_its_type_and_no_other(self):
        write(self.path("a"), "1")
        server = self.serve({"demo": self.path("a")}, metrics_listen=["127.0.0.1:0"])
        with open(DOCUMENT, encoding="utf-8") as file:
            text = file.read()
        documented = dict(re.findall(r"^\| `(confstream_\w+)(?:\{[\w, ]+\})?` \| (\w+) \|", text, re.MULTILINE))
        self.assertEqual(documented, Metrics(server).types("confstream_"))
        self.assertLessEqual(set(re.findall(r"confstream_\w+", text)), set(documented))
        reasons = set(re.findall(r"^\| `(\w+)` \| [^|]*\|$", text, re.MULTILINE))
        self.assertEqual(reasons, Metrics(server).labels("confstream_rescans_total", "reason"))


if __name__ == "__main__":
    unittest.main()
