"""docs/failure-cases.md against the tests: each case is there, and each test that it names."""

import ast
import os
import re
import unittest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(os.path.dirname(TESTS), "docs", "failure-cases.md")
CASES = 42


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def end_to_end_tests():
    """As ctest has them: e2e:MODULE.CLASS.METHOD, of the modules that are registered."""
    registered = set(re.findall(r"\b\w+_test\b", read(TESTS, "e2e", "CMakeLists.txt")))
    modules = {name.removesuffix(".py") for name in os.listdir(os.path.join(TESTS, "e2e"))}
    names = set()
    for module in registered & modules:
        for node in ast.parse(read(TESTS, "e2e", f"{module}.py")).body:
            if isinstance(node, ast.ClassDef):
                methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
                names.update(f"e2e:{module}.{node.name}.{name}" for name in methods if name.startswith("test_"))
    return names


def unit_tests():
    """As ctest has them: PROGRAM:SUITE.NAME."""
    names = set()
    listed = read(TESTS, "CMakeLists.txt")
    for program, sources in re.findall(r"confstream_test\((\w+)([^)]*?)LINK", listed):
        for source in re.findall(r"\w+\.cc", sources):
            path = os.path.join(TESTS, source)
            tests = re.findall(r"^TEST(?:_F)?\(\s*(\w+),\s*(\w+)\s*\)", read(path), re.MULTILINE) if os.path.exists(path) else []
            names.update(f"{program}:{suite}.{name}" for suite, name in tests)
    return names


class CasesTest(unittest.TestCase):
    def test_every_case_has_its_line_with_a_test_at_least(self):
        rows = re.findall(r"^\| (\d+) \|(.*)\|(.*)\|(.*)\|$", read(TABLE), re.MULTILINE)
        self.assertEqual([int(number) for number, *_ in rows], list(range(1, CASES + 1)))
        for number, scenario, holds, shown_by in rows:
            self.assertTrue(scenario.strip() and holds.strip(), number)
            self.assertRegex(shown_by, r"^( `[\w:.]+`)+ $", number)

    def test_every_test_that_is_named_exists(self):
        existing = end_to_end_tests() | unit_tests()
        self.assertGreater(len(existing), 500)
        named = re.findall(r"`(\w+:\w+\.[\w.]+)`", read(TABLE))
        self.assertGreater(len(named), CASES)
        self.assertEqual([name for name in named if name not in existing], [])

    def test_no_test_of_a_case_can_be_skipped(self):
        modules = {module for module, _ in re.findall(r"`e2e:(\w+)\.([\w.]+)`", read(TABLE))}
        self.assertGreater(len(modules), 5)
        for module in modules:
            self.assertNotRegex(read(TESTS, "e2e", f"{module}.py"), r"skip(Test|If|Unless)|unittest\.skip|expectedFailure")


if __name__ == "__main__":
    unittest.main()
