"""The examples of README.md, as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from scripted_server import ScriptedServer, snapshot

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
FILES = {"greeting.yaml": b"greeting: hello", "features.json": b'{"dark_mode": true}'}


@pytest.mark.parametrize(
    ("number", "prints"),
    [
        (0, ["begins with 1 greeting: hello", "now at 1 ['features.json', 'greeting.yaml']"]),
        (1, ["dark mode is True"]),
        (2, ["now at 1"]),
        (3, ["{'greeting': 'hello'} after 0 disconnections"]),
    ],
)
def test_example(server: ScriptedServer, tmp_path: Path, number: int, prints: list[str]) -> None:
    program = EXAMPLES[number].replace("127.0.0.1:50051", server.address)
    program = program.replace("/var/cache/my-program", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        stream = server.next_stream()
        stream.send(snapshot(1, FILES))
        assert [running.stdout.readline().rstrip("\n") for _ in prints] == prints
        stream.end(grpc.StatusCode.NOT_FOUND, "the example is over")  # which those that go on raise
        running.communicate("\n", timeout=10)
    assert running.returncode in (0, 1)


def test_all_examples_are_run() -> None:
    assert len(EXAMPLES) == 4
    assert len(EXAMPLES[0].splitlines()) < 15
