"""Content made to hurt: bombs, depths, sizes, numbers of files, names, things that are no files.

Each is refused with a sentence that names the place and the remedy; the last good snapshot stays, and so do the other
sources. attack_requests_test.py and attack_connections_test.py attack from the client's side.
"""

import json
import os
import socket
import subprocess
import unittest

from attack_siege import MIB, AttackTest
from harness import write
from volume import Volume

DEPTH = 100000
# What an allocator keeps and the bystander's own swaps take, whatever the attack.
NOISE = 24 * MIB
# How many files the flood of files has; a million takes a minute or two to make.
FILES = int(os.environ.get("CONFSTREAM_ATTACK_FILES", "200000"))


def billion_laughs():
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    for i in range(1, 10):
        lines.append(f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]")
    return "\n".join(lines) + "\n"


class AttackContentTest(AttackTest):
    def besiege_volume(self, **source):
        self.volume = Volume(self.path("volume"), {"good": b"1"})
        self.besiege({"demo": {"path": self.volume.path, **source}})
        self.good = self.watch(self.server)
        self.good.next_version()

    def besiege_directory(self, **source):
        """A plain directory, served; what is put into it settles first."""
        os.mkdir(self.path("plain"))
        write(self.path("plain", "good"), "1")
        self.besiege({"demo": {"path": self.path("plain"), "settle": "100ms", "max_delay": "2s", **source}})
        self.good = self.watch(self.server)
        self.good.next_version()

    def await_violation(self, rule):
        """The violation of `rule` that the stream is told of; it still has the last good version."""
        while True:
            status = self.good.next_status("DEGRADED")
            self.assertEqual(status.status.served_version, self.good.snapshots()[-1].version)
            for violation in status.status.violations:
                if violation.rule == rule:
                    return violation

    def expect_refusal(self, name, rule, remedy, growth_bytes, begin):
        """`begin` makes the content; the answer is a violation of `rule` whose message has `remedy`."""
        with self.siege.attack(name, growth_bytes + NOISE) as attack:
            begin()
            violation = self.await_violation(rule)
            place = ":".join(str(part) for part in (violation.path[:60], violation.line, violation.column) if part)
            attack.answer = f"{place}: {violation.rule}: {violation.message[:200]}"
            self.assertIn(remedy, violation.message)
            self.assertLess(len(violation.message), 1000)
        return violation

    def expect_swap_refused(self, name, path, content, rule, remedy, growth_factor=3):
        """`content` is what a swap brings, and memory may grow by `growth_factor` times its size.

        A reading holds the file once, and a check of most kinds takes little besides; JSON's up to 10 times the size of
        a string, TOML's up to 45 times the size of the file.
        """
        begin = lambda: self.volume.swap({path: content})
        return self.expect_refusal(name, rule, remedy, growth_factor * len(content), begin)

    def expect_recovery(self, swap):
        """Good content after all that is published as if nothing had been."""
        before = self.good.snapshots()[-1].version
        swap()
        self.assertEqual(self.good.next_version().version, before + 1)
        self.assertEqual(self.status().violations_total, 0)

    def test_yaml_bombs_are_refused_and_not_expanded(self):
        self.besiege_volume()
        swapped = self.expect_swap_refused
        swapped("billion laughs, 10 levels of 9", "a.yaml", billion_laughs(), "yaml.aliases", "limits.max_alias_nodes")
        swapped("alias inside its own node", "a.yaml", "a: &a [1, *a]\n", "yaml.aliases", "contains it")
        quadratic = "a: &a [" + "x, " * 1000 + "x]\nb: [" + "*a, " * 50000 + "*a]\n"
        swapped("alias used 50 000 times", "a.yaml", quadratic, "yaml.aliases", "limits.max_alias_nodes")
        swapped("YAML nested 100 000 deep, flow", "a.yaml", "[" * DEPTH, "yaml.nesting", "limits.max_nesting")
        block = "".join(" " * i + "-\n" for i in range(3000))
        swapped("YAML nested 3000 deep, block", "a.yaml", block, "yaml.nesting", "limits.max_nesting")
        swapped("YAML nested `- ` 100 000 deep", "a.yaml", "- " * DEPTH + "x\n", "yaml.nesting", "limits.max_nesting")
        swapped("YAML nested `? ` 100 000 deep", "a.yaml", "\n" + "? " * DEPTH + "x\n", "yaml.nesting", "limits.max_nesting")
        self.expect_recovery(lambda: self.volume.swap({"a.yaml": "a: 1\n"}))

    def test_json_and_toml_nested_100000_deep_are_refused(self):
        self.besiege_volume()
        swapped = self.expect_swap_refused
        swapped("JSON nested 100 000 deep, lists", "a.json", "[" * DEPTH, "json.nesting", "limits.max_nesting")
        closed = '{"a":' * DEPTH + "1" + "}" * DEPTH
        swapped("JSON nested 100 000 deep, objects", "a.json", closed, "json.nesting", "limits.max_nesting")
        arrays = "a = " + "[" * DEPTH + "]" * DEPTH + "\n"
        swapped("TOML nested 100 000 deep, arrays", "a.toml", arrays, "toml.nesting", "limits.max_nesting", 45)
        tables = "a = " + "{b=" * DEPTH + "1" + "}" * DEPTH + "\n"
        swapped("TOML nested 100 000 deep, tables", "a.toml", tables, "toml.nesting", "limits.max_nesting", 45)
        keys = ".".join(["a"] * DEPTH) + " = 1\n"
        swapped("TOML dotted key of 100 000 parts", "a.toml", keys, "toml.nesting", "limits.max_nesting", 45)
        header = "[" + ".".join(["a"] * DEPTH) + "]\n"
        swapped("TOML table of 100 000 parts", "a.toml", header, "toml.nesting", "limits.max_nesting", 45)
        self.expect_recovery(lambda: self.volume.swap({"a.toml": "a = 1\n"}))

    def test_huge_tokens_are_refused_or_taken_for_what_they_are(self):
        self.besiege_volume()
        swapped = self.expect_swap_refused
        swapped("JSON number of a megabyte", "a.json", "1" * MIB, "json.syntax", "number")
        swapped("JSON exponent of a megabyte", "a.json", "1e" + "9" * MIB, "json.syntax", "number")
        swapped("JSON string of 8 MiB that does not end", "a.json", '"' + "x" * (8 * MIB), "json.syntax", "", 10)
        swapped("YAML key of a megabyte", "a.yaml", "k" * MIB + ": [\n", "yaml.syntax", "")
        swapped("TOML number of a megabyte", "a.toml", "a = " + "1" * MIB + "\n", "toml.syntax", "", 45)
        self.expect_recovery(lambda: self.volume.swap({"a.json": json.dumps("x" * 8 * MIB)}))

    def test_schemas_and_patterns_that_explode_elsewhere_take_bounded_time(self):
        schema = {
            "type": "object",
            "properties": {
                "name": {"type": "string", "pattern": "^(a+)+$"},
                "list": {"type": "array", "uniqueItems": True},
            },
        }
        write(self.path("schema.json"), json.dumps(schema))
        self.besiege_volume(rules={"schemas": ["*.json=" + self.path("schema.json")]})
        swapped = self.expect_swap_refused
        evil = json.dumps({"name": "a" * MIB + "b"})
        swapped("catastrophic regular expression, 1 MiB of text", "a.json", evil, "schema", "must match", 60)
        with self.siege.attack("uniqueItems over 200 000 lists", 60 * 3 * MIB + NOISE) as attack:
            self.volume.swap({"a.json": json.dumps({"list": [[i] for i in range(200000)]})})
            attack.answer = f"valid, and published as version {self.good.next_version().version}"
        self.expect_recovery(lambda: self.volume.swap({"a.json": "{}"}))

    def test_a_sparse_file_of_10_gib_is_refused_before_memory_is_taken(self):
        self.besiege_directory()

        def sparse():
            with open(self.path("plain", "huge.yaml"), "wb") as file:
                file.truncate(10 << 30)

        violation = self.expect_refusal("sparse file of 10 GiB", "limits.file_size", "limits.max_file_size", 0, sparse)
        self.assertEqual(violation.path, "huge.yaml")
        self.assertIn(str(10 << 30), violation.message)
        os.unlink(self.path("plain", "huge.yaml"))
        self.good.next_status("SERVING")

        def many():
            for i in range(5):
                with open(self.path("plain", f"{i}.bin"), "wb") as file:
                    file.truncate(15 * MIB)

        self.expect_refusal("five sparse files of 15 MiB", "limits.total_size", "limits.max_total_size", 0, many)
        for i in range(5):
            os.unlink(self.path("plain", f"{i}.bin"))
        self.good.next_status("SERVING")

    def test_a_flood_of_files_is_refused_when_the_limit_is_passed(self):
        # Beside the source, on its file system, and moved in when they are all there.
        os.mkdir(self.path("flood"))
        write(self.path("flood", "0"), "")
        for i in range(1, FILES):
            if i % 30000 == 0:  # a file has so many links at most
                write(self.path("flood", str(i)), "")
            else:
                os.link(self.path("flood", str(i - i % 30000)), self.path("flood", str(i)))
        self.besiege_directory()
        move = lambda: os.rename(self.path("flood"), self.path("plain", "flood"))
        # What is listed is bounded by twice max_files, 10 000 by default, and a name takes less than 1 KiB.
        self.expect_refusal(f"{FILES} files", "limits.files", "limits.max_files", 21000 << 10, move)
        os.rename(self.path("plain", "flood"), self.path("flood"))
        self.good.next_status("SERVING")

    def test_a_deep_tree_is_refused(self):
        self.besiege_directory()

        def dig():
            here = os.open(self.path("plain"), os.O_RDONLY)
            for _ in range(3000):
                os.mkdir("d", dir_fd=here)
                below = os.open("d", os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            os.close(here)

        # Too deep for shutil, which holds a descriptor for each level.
        self.addCleanup(subprocess.run, ["rm", "-rf", self.path("plain", "d")], check=True)
        self.expect_refusal("directories 3000 deep", "limits.depth", "limits.max_depth", 0, dig)

    def test_names_that_are_not_text_are_refused_and_shown_escaped(self):
        self.besiege_directory()
        names = {
            "name that is not UTF-8": (b"caf\xe9", "caf\\xe9"),
            "name with a line break": (b"a\nINFO forged", "a\\nINFO forged"),
            "name with terminal commands": (b"\x1b[2J\x1b]0;x\x07", "\\x1b[2J\\x1b]0;x\\x07"),
            "name of 255 bytes that are not UTF-8": (b"\xff" * 255, "\\xff" * 255),
        }
        for title, (name, shown) in names.items():
            path = os.path.join(self.path("plain").encode(), name)
            violation = self.expect_refusal(title, "path.characters", "", 0, lambda: write(path, "1"))
            self.assertEqual(violation.path, shown)
            os.unlink(path)
            self.good.next_status("SERVING")
        for line in self.server.log():
            self.assertNotIn("text", line)  # a line of the log that is not JSON would be a forged one

    def test_devices_pipes_and_sockets_are_never_opened(self):
        self.besiege_directory()
        special = {
            "pipe": os.mkfifo,
            "socket": self.bind,
            "link to /dev/zero": lambda path: os.symlink("/dev/zero", path),
            "link to /proc/self/mem": lambda path: os.symlink("/proc/self/mem", path),
            "link to /proc/self/environ": lambda path: os.symlink("/proc/self/environ", path),
            "link to /proc/self/fd": lambda path: os.symlink("/proc/self/fd", path),
            "link to /dev/stdin": lambda path: os.symlink("/dev/stdin", path),
            "link to /": lambda path: os.symlink("/", path),
        }
        for title, make in special.items():
            rule = "link.confinement" if title.startswith("link") else "file.type"
            path = self.path("plain", "special.yaml")
            violation = self.expect_refusal(title, rule, "", 0, lambda: make(path))
            self.assertEqual(violation.path, "special.yaml")
            os.unlink(path)
            self.good.next_status("SERVING")

    def test_devices_are_refused_even_where_links_may_lead(self):
        self.besiege_directory(link_roots=["/dev", "/proc"])
        for target in ("/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/kmsg"):
            path = self.path("plain", "special.yaml")
            with self.siege.attack(f"link to {target}, permitted", NOISE) as attack:
                os.symlink(target, path)
                status = self.good.next_status("DEGRADED").status
                attack.answer = f"{status.violations[0].rule}: {status.violations[0].message}"
            os.unlink(path)
            self.good.next_status("SERVING")

    def bind(self, path):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)

    def test_loops_of_links_are_refused(self):
        self.besiege_directory()

        def ring():
            os.symlink("b", self.path("plain", "a"))
            os.symlink("a", self.path("plain", "b"))

        self.expect_refusal("links in a ring", "link.dangling", "exclude", 0, ring)
        os.unlink(self.path("plain", "a"))
        os.unlink(self.path("plain", "b"))
        self.good.next_status("SERVING")
        loop = lambda: os.symlink(".", self.path("plain", "self"))
        self.expect_refusal("link to its own directory", "link.loop", "exclude", 0, loop)


if __name__ == "__main__":
    unittest.main()
