"""A short soak, and that one which finds something says so."""

import os
import random
import re
import subprocess
import sys
import unittest

from harness import EndToEndTest

SOAK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "soak.py")
DEADLINE = 200.0  # seconds; of which 25 are soaked


class SoakTest(EndToEndTest):
    def soak(self, seed, minutes=25 / 60, **environment):
        """Returns (exit code, what was printed)."""
        result = subprocess.run(
            [sys.executable, SOAK, "--minutes", str(minutes), "--seed", str(seed)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
            env={**os.environ, **environment},
        )
        return result.returncode, result.stdout

    def expect_nothing_broken(self, seed):
        code, output = self.soak(seed)
        self.assertEqual(code, 0, output)
        self.assertIn("none broken", output)
        self.assertGreater(int(re.search(r"(\d+) Published", output).group(1)), 20, output)
        self.assertGreater(int(re.search(r"(\d+) Received", output).group(1)), 200, output)
        print(output)

    def test_a_soak_of_a_fixed_seed_breaks_no_guarantee(self):
        self.expect_nothing_broken(7)

    def test_a_soak_of_a_random_seed_breaks_no_guarantee(self):
        self.expect_nothing_broken(random.randrange(1 << 32))

    def test_a_server_that_ends_by_itself_is_found_with_the_seed_and_the_events_around_it(self):
        dying = self.path("confstreamd")
        with open(dying, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n(sleep 5; kill -9 $$) </dev/null >/dev/null 2>&1 &\n")
            file.write(f'exec "{os.environ["CONFSTREAMD"]}" "$@"\n')
        os.chmod(dying, 0o755)
        code, output = self.soak(8, CONFSTREAMD=dying)
        self.assertEqual(code, 1, output)
        self.assertIn("--seed 8", output)
        # By itself, or while the soak was ending it.
        self.assertRegex(output, "guarantee [79] is broken: the server ended (by itself|with code -9)")
        self.assertIn("  > ", output)
        self.assertIn("ServerEnded", output)


if __name__ == "__main__":
    unittest.main()
