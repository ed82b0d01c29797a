"""`confstream exec`: a program that follows a source, and whose exit codes the operators see."""

import os
import signal
import subprocess
import unittest

from client import ask, await_watcher, run_client, start_client
from harness import DEADLINE, EndToEndTest, Server, await_true, write
from volume import Volume

CHECK = 'grep -q good "$CONFSTREAM_DIR/a" || { echo "line 1: not good" >&2; exit 3; }; cp "$CONFSTREAM_DIR/a" "$0"'


class ExecTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "good 1\n"})
        self.server = self.serve(admin=True)

    def start(self, *arguments, **popen):
        # What a killed one leaves behind goes with the test.
        environment = {**os.environ, "TMPDIR": self.directory}
        process = start_client(self.server, "exec", "demo", *arguments, env=environment, **popen)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def await_content(self, path, content):
        def is_there():
            try:
                with open(path, encoding="utf-8") as file:
                    return file.read() == content
            except FileNotFoundError:
                return False

        await_true(is_there, f"{content!r} in {path}")

    def await_text(self, path, text):
        def is_there():
            with open(path, encoding="utf-8") as file:
                return text in file.read()

        await_true(is_there, f"{text!r} in {path}")

    def test_a_rejection_is_seen_by_who_and_ends_with_the_next_good_version(self):
        applied = self.path("applied")
        process = self.start("--client-id", "checker", "--", "sh", "-c", CHECK, applied, stderr=subprocess.DEVNULL)
        self.await_content(applied, "good 1\n")
        self.volume.swap({"a": "bad\n"})
        watcher = await_watcher(self.server, lambda w: "last_rejection" in w, "the rejection")
        self.assertEqual(watcher["client_id"], "checker")
        self.assertEqual(watcher["last_rejection"]["version"], 2)
        self.assertEqual(watcher["last_rejection"]["reason"], "exit code 3: line 1: not good")
        self.await_content(applied, "good 1\n")
        self.volume.swap({"a": "good 3\n"})
        watcher = await_watcher(self.server, lambda w: w["last_report"]["version"] == 3, "the next report")
        self.assertEqual(watcher["last_report"]["outcome"], "APPLIED")
        self.assertEqual(watcher["last_rejection"]["version"], 2)
        self.await_content(applied, "good 3\n")
        process.terminate()
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_rollback_reaches_the_program_and_is_seen_everywhere(self):
        applied = self.path("applied")
        self.start("--", "sh", "-c", CHECK, applied)
        self.await_content(applied, "good 1\n")
        self.volume.swap({"a": "good 2\n"})
        self.await_content(applied, "good 2\n")
        code, output, errors = run_client(self.server, "rollback", "demo", "1", "--reason", "2 is too good")
        self.assertEqual(code, 0, errors)
        self.assertIn("version 3 has the content of version 1", output)
        self.assertIn("in the server's memory only", errors)
        self.assertIn("--state-dir", errors)
        self.await_content(applied, "good 1\n")
        code, output, errors = run_client(self.server, "rollback", "demo", "1", "--reason", "2 is much too good")
        self.assertEqual(code, 0, errors)
        self.assertIn("already at version 3, which has the content of version 1", output)
        self.assertRegex(output, r"pin renewed, reason and expiry replaced\nit was .*: 2 is too good\npinned to .*much")
        code, output, _ = run_client(self.server, "history", "demo")
        self.assertEqual(code, 0)
        self.assertRegex(output, r"\*\s+3\s.*rollback of 1")
        self.assertIn("2 is much too good", output)
        code, output, _ = run_client(self.server, "status")
        self.assertIn("2 is much too good", output)
        self.assertIn("history: in memory", output)
        code, output, _ = run_client(self.server, "diff", "demo", "2", "3")
        self.assertIn("-good 2\n+good 1\n", output)
        self.assertEqual(run_client(self.server, "get", "demo", "a", "--version", "2")[1], "good 2\n")
        code, _, errors = run_client(self.server, "rollback", "demo", "2", "--expect", "2")
        self.assertEqual(code, 1)
        self.assertRegex(errors, r"is at version 3, not at 2 .*`confstream history demo`")
        seen = self.path("seen")
        with open(seen, "w", encoding="utf-8") as file:
            watch = start_client(self.server, "watch", "demo", stdout=file)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.kill)
        self.await_text(seen, "INITIAL  rollback of 1\n")
        self.await_text(seen, "pinned to the content of version 1")
        code, output, errors = run_client(self.server, "unpin", "demo")
        self.assertEqual(code, 0)
        self.assertIn("--state-dir", errors)
        self.await_text(seen, "the pin has ended, since an operator asked for it: demo was pinned to the content of version 1")
        self.await_content(applied, "good 2\n")
        self.assertNotIn("pin", ask(self.server, "history", "demo"))

    def test_a_long_running_program_is_signalled_and_its_end_is_the_end(self):
        seen = self.path("seen")
        script = (
            'trap \'cat "$CONFSTREAM_DIR/a" >>"$0"\' HUP; trap "exit 9" TERM; cat "$CONFSTREAM_DIR/a" >"$0";'
            " while :; do sleep 0.02; done"
        )
        process = self.start("--signal", "HUP", "--dir", self.path("dir"), "--", "sh", "-c", script, seen)
        self.await_content(seen, "good 1\n")
        self.volume.swap({"a": "good 2\n"})
        self.await_content(seen, "good 1\ngood 2\n")
        await_watcher(self.server, lambda w: w.get("last_report", {}).get("version") == 2, "the report")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(DEADLINE), 9)

    def test_validate_finds_in_a_directory_what_the_server_would_find(self):
        new = self.path("new")
        os.mkdir(new)
        write(os.path.join(new, "app.yaml"), "a: 1\nb: [\n")
        write(os.path.join(new, "fine.json"), "{}")
        code, output, errors = run_client(self.server, "validate", "demo", new)
        self.assertEqual(code, 6, errors)
        self.assertRegex(output, r"(?m)^app\.yaml:\d+:\d+: yaml\.syntax: ")
        self.assertIn("not valid: 1 violation\n", output)
        write(os.path.join(new, "app.yaml"), "a: 1\n")
        code, output, errors = run_client(self.server, "validate", "demo", new)
        self.assertEqual(code, 0, errors)
        volume = Volume(self.path("other"), {"app.yaml": "a: 1\n", "fine.json": "{}"})
        self.assertEqual(run_client(self.server, "validate", "demo", volume.path)[1], output, "same files, same digest")
        code, output, errors = run_client(self.server, "reload", "demo")
        self.assertEqual(code, 0, errors)
        self.assertIn("demo is SERVING, serving version 1", output)

    def test_validate_leaves_out_what_the_source_does(self):
        os.mkdir(self.path("strict"))
        settings = {"path": self.volume.path, "include": ["*.yaml"], "exclude": ["draft*"], "allow_empty": True}
        server = Server(self.path("strict"), {"demo": settings}, admin=True)
        self.addCleanup(server.close)
        new = self.path("new")
        os.mkdir(new)
        write(os.path.join(new, "app.yaml"), "a: 1\n")
        digest = run_client(server, "validate", "demo", new)[1].split()[-1]
        write(os.path.join(new, "draft.yaml"), "b: [\n")
        write(os.path.join(new, "other.json"), "{")
        code, output, errors = run_client(server, "validate", "demo", new)
        self.assertEqual(code, 0, output + errors)
        self.assertEqual(output.split()[-1], digest)
        write(os.path.join(new, "app.yaml"), "a: [\n")
        code, output, _ = run_client(server, "validate", "demo", new)
        self.assertEqual(code, 6)
        self.assertIn("not valid: 1 violation\n", output)


if __name__ == "__main__":
    unittest.main()
