from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from scripted_server import TIMEOUT, ScriptedServer
from subjects import Asyncio, Subject, Threads


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer("127.0.0.1:0")
    yield server
    server.stop()


@pytest.fixture(params=[Threads, Asyncio], ids=["threads", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Subject]]:
    """Makes clients, of the one kind and of the other, and closes them: no thread of theirs may be left then."""
    subjects: list[Subject] = []

    def connect(target: str) -> Subject:
        subject: Subject = request.param(target)
        subjects.append(subject)
        return subject

    yield connect
    for subject in subjects:
        subject.close()
    assert not [thread.name for thread in threading.enumerate() if "confstream" in thread.name]


@pytest.fixture
def client(connect: Callable[[str], Subject], server: ScriptedServer) -> Subject:
    return connect(server.address)


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)
