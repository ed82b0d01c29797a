"""The driver for tests/conformance, in both of its ways."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from confstream.v1 import config_service_pb2 as pb
from scripted_server import TIMEOUT, ScriptedServer, digest, heartbeat, snapshot, view_digest

FILES = {"a.txt": b"good"}


class Driver:
    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "confstream_client.conformance", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def lines(self, count: int) -> list[dict[str, Any]]:
        """The next lines, in the order of their events' names: what different threads print comes in any order."""
        assert self.process.stdout is not None
        lines = [json.loads(self.process.stdout.readline()) for _ in range(count)]
        return sorted(lines, key=lambda line: str(line["event"]))

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()


@pytest.fixture(params=[[], ["--asyncio"]], ids=["threads", "asyncio"])
def driver(request: pytest.FixtureRequest, server: ScriptedServer, tmp_path: Path) -> Iterator[Driver]:
    flags = ["--target", server.address, "--source", "demo", "--wait", "5", "--reject", "bad"]
    driver = Driver(*flags, "--cache-dir", str(tmp_path), *request.param)
    yield driver
    driver.process.kill()
    driver.process.wait()
    for end in (driver.process.stdin, driver.process.stdout):
        assert end is not None
        end.close()


def test_the_driver_tells_what_happens(driver: Driver, server: ScriptedServer) -> None:
    stream = server.next_stream()
    driver.say("current")
    assert driver.lines(1) == [{"event": "current", "version": None, "stale": False}]
    stream.send(snapshot(1, FILES))
    change, settled = driver.lines(2)
    assert change == {
        "event": "change",
        "version": 1,
        "epoch": "e1",
        "view_digest": view_digest(FILES),
        "files": {"a.txt": digest(b"good")},
        "old_version": None,
        "from_cache": False,
        "missing_globs": [],
    }
    assert settled == {"event": "settled", "version": 1, "stale": False}
    assert server.next_report().outcome == pb.OUTCOME_APPLIED
    stream.send(snapshot(2, {"a.txt": b"a bad one"}))
    [change] = driver.lines(1)
    assert (change["version"], change["old_version"]) == (2, 1)
    assert server.next_report().reason == "rejected: bad"
    stream.end(grpc.StatusCode.ABORTED)
    [disconnected] = driver.lines(1)
    assert (disconnected["event"], disconnected["code"]) == ("disconnected", "ABORTED")
    server.next_stream().send(heartbeat(2))
    driver.say("close")
    assert driver.lines(1) == [{"event": "closed"}]
    assert driver.process.wait(TIMEOUT) == 0


def test_the_driver_ends_with_the_watch(driver: Driver, server: ScriptedServer) -> None:
    stream = server.next_stream()
    stream.send(snapshot(1, FILES))
    stream.end(grpc.StatusCode.NOT_FOUND)
    lines = {line.pop("event"): line for line in driver.lines(3)}
    assert lines.keys() == {"change", "settled", "ended"}
    assert lines["ended"] == {"code": "NOT_FOUND", "stale": True}
    assert driver.process.wait(TIMEOUT) == 0


def test_the_driver_ends_with_its_input(driver: Driver, server: ScriptedServer) -> None:
    server.next_stream()
    assert driver.process.stdin is not None
    driver.process.stdin.close()
    assert driver.lines(1) == [{"event": "closed"}]
    assert driver.process.wait(TIMEOUT) == 0
