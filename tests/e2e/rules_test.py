"""Rules of a source: a violation is seen alike in the log, the status, the streams, the command line and offline."""

import json
import os
import subprocess
import unittest

from confstream.v1 import config_service_pb2 as pb
from harness import EndToEndTest, await_true, write
from volume import Volume

SCHEMA = {
    "type": "object",
    "required": ["port"],
    "properties": {"port": {"type": "integer", "minimum": 1, "maximum": 65535}},
}
GOOD = {"app.yaml": "name: app\nport: 80\n", "db.json": '{"port": 5432}'}
BAD = {"app.yaml": "name: app\nport: http\n", "db.json": '{\n  "port": 70000\n}'}
# File, line and column of what is wrong with BAD.
PLACES = [("app.yaml", 2, 7), ("db.json", 2, 11)]


class RulesTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), GOOD)
        self.schema(SCHEMA)
        self.sources = {
            "demo": {"path": self.volume.path, "rules": {"schemas": ["*.yaml=port.schema.json", "*.json=port.schema.json"]}}
        }

    def schema(self, schema):
        write(self.path("port.schema.json.new"), schema if isinstance(schema, str) else json.dumps(schema))
        os.rename(self.path("port.schema.json.new"), self.path("port.schema.json"))

    @staticmethod
    def places(violations):
        return [(each.path, each.line, each.column) for each in violations]

    def validate(self):
        """confstreamd --validate on the volume: the exit code, and what it printed."""
        command = [os.environ["CONFSTREAMD"], "--config", self.path("confstream.yaml"), "--validate", self.volume.path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_violations_in_two_files_are_told_with_line_and_column_everywhere(self):
        server = self.serve(self.sources)
        stream = self.watch(server)
        self.assertEqual(stream.next_version().version, 1)
        self.volume.swap(BAD)
        told = stream.next_status("DEGRADED").status
        self.assertEqual(self.places(told.violations), PLACES)
        self.assertEqual({each.rule for each in told.violations}, {"schema"})
        listed = server.stub.ListSources(pb.ListSourcesRequest()).sources[0].status
        self.assertEqual(self.places(listed.violations), PLACES)
        await_true(lambda: len(server.log("refused")) == len(PLACES), "the refusals in the log")
        logged = [(line["path"], line["line"], line["column"]) for line in server.log("refused")]
        self.assertEqual(logged, PLACES)
        written = [f"{v.path}:{v.line}:{v.column}: {v.rule}: {v.message}" for v in told.violations]
        self.assertEqual([line["reason"] for line in server.log("refused")], written)
        shown = subprocess.run(
            [os.environ["CONFSTREAM"], "--server", server.address, "status"], capture_output=True, text=True, check=False
        )
        code, validated = self.validate()
        self.assertEqual(code, 1, validated)
        for path, line, column in PLACES:
            self.assertIn(f"{path}:{line}:{column}", shown.stdout)
        self.assertEqual(validated.splitlines()[:-1], written)
        self.volume.swap(GOOD)
        stream.next_status("SERVING")
        self.assertEqual(self.validate()[0], 0)

    def test_a_changed_schema_is_applied_to_what_is_mounted(self):
        server = self.serve(self.sources)
        stream = self.watch(server)
        stream.next_version()
        self.schema({**SCHEMA, "required": ["port", "name"]})
        told = stream.next_status("DEGRADED")
        self.assertEqual([each.path for each in told.status.violations], ["db.json"])
        self.schema(SCHEMA)
        stream.next_status("SERVING")

    def test_a_schema_that_breaks_is_told_and_the_old_one_stays(self):
        server = self.serve(self.sources)
        stream = self.watch(server)
        stream.next_version()
        self.schema('{"type": ')
        self.assertIn("port.schema.json", server.await_log("schemas not loaded, the old ones stay")["reason"])
        self.assertIn("port.schema.json:1", stream.next_status("SERVING").status.schema_problem)
        self.volume.swap(BAD)
        self.assertEqual(self.places(stream.next_status("DEGRADED").status.violations), PLACES)

    def test_paths_and_checksums_are_checked_together_with_the_rest(self):
        rules = {"required": ["app.*"], "forbidden": ["**/*.bak"], "checksums": "SHA256SUMS"}
        server = self.serve({"demo": {"path": self.volume.path, "rules": rules}})
        self.assertEqual({line["rule"] for line in await_true(lambda: server.log("refused"), "a refusal")}, {"checksums.manifest"})
        self.volume.swap({"x.bak": "1", "a.json": "{", "SHA256SUMS": "0" * 64 + "  x.bak\n"})
        wanted = {"paths.required", "paths.forbidden", "json.syntax", "checksums.mismatch", "checksums.unlisted"}
        await_true(lambda: wanted <= {line["rule"] for line in server.log("refused")}, f"lines of all of {wanted}")

    def test_a_missing_schema_file_is_a_configuration_error_before_anything_listens(self):
        os.unlink(self.path("port.schema.json"))
        config = {"sources": self.sources}
        write(self.path("confstream.yaml"), json.dumps(config))
        for extra in (["--check-config"], ["--listen", "127.0.0.1:0"]):
            command = [os.environ["CONFSTREAMD"], "--config", self.path("confstream.yaml"), *extra]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("port.schema.json", done.stderr)


if __name__ == "__main__":
    unittest.main()
