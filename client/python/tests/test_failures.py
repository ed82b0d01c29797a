"""What happens when the client itself fails, or what it needs: no watch ends in silence, and claims to be fresh."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc
import pytest

import confstream_client
from confstream_client import WatchEnded, aio
from confstream_client import client as threads
from confstream_client._core import WatchCore
from conftest import eventually
from scripted_server import TIMEOUT, ScriptedServer, heartbeat, snapshot
from subjects import Subject, Watch

FILES = {"a": b"a"}


class Log(logging.Handler):
    """A handler that keeps the events of its records, and does something else then."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.events: list[str] = []
        self._then = then

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append(record.__dict__["confstream"]["event"])
        self._then()


def fail() -> NoReturn:
    raise ZeroDivisionError("as the test has it")


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.Logger("test")
    yield logger
    for handler in logger.handlers:
        handler.close()


def expect_internal_end(watch: Watch) -> None:
    eventually(lambda: watch.error is not None, "the end")
    assert watch.error is not None
    assert watch.error.code is grpc.StatusCode.INTERNAL
    assert watch.stale
    with pytest.raises(WatchEnded):
        list(watch)


@pytest.mark.parametrize("kind", ["handler", "filter"])
def test_what_fails_to_log_does_not_end_the_watch(
    client: Subject, server: ScriptedServer, logger: logging.Logger, kind: str
) -> None:
    if kind == "handler":
        logger.addHandler(Log(fail))
    else:
        logger.addFilter(lambda record: fail())
    watch = client.watch(logger=logger)
    stream = server.next_stream()
    stream.send(snapshot(1, FILES))
    assert next(watch).new.version == 1
    stream.end(grpc.StatusCode.UNAVAILABLE)
    server.next_stream().send(snapshot(2, {}))
    assert next(watch).new.version == 2


def test_a_log_that_ends_its_thread_ends_the_watch(server: ScriptedServer, logger: logging.Logger) -> None:
    armed = threading.Event()
    logger.addHandler(Log(lambda: sys.exit() if armed.is_set() else None))
    with confstream_client.Client(server.address) as client:
        watch = client.watch("demo", logger=logger)
        stream = server.next_stream()
        stream.send(snapshot(1, FILES))
        assert watch.wait(TIMEOUT).version == 1
        armed.set()
        stream.end(grpc.StatusCode.UNAVAILABLE)
        expect_internal_end(watch)


def test_a_stream_that_cannot_be_opened_is_tried_again(
    client: Subject, server: ScriptedServer, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(lambda: None)
    logger.addHandler(log)
    with monkeypatch.context() as patch:
        patch.setattr(client._client, "_open", lambda request: fail())  # type: ignore[attr-defined]
        watch = client.watch(logger=logger)
        eventually(lambda: log.events.count("disconnected") > 1, "tries")
    server.next_stream().send(snapshot(1, FILES))
    assert watch.wait(TIMEOUT).version == 1


@pytest.mark.parametrize("name", ["", "confstream read"], ids=["any", "reader"])
def test_threads_that_cannot_be_started_are_tried_again(
    server: ScriptedServer,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    gc.disable()  # which would end calls that nobody has, some time
    request.addfinalizer(gc.enable)
    log = Log(lambda: None)
    logger.addHandler(log)
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if threading.current_thread().name.startswith("confstream") and thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)

    with confstream_client.Client(server.address) as client:
        watch = client.watch("demo", on_change=lambda change: None, logger=logger)
        stream = server.next_stream()
        stream.send(snapshot(1, FILES))
        assert server.next_report().version == 1
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            stream.end(grpc.StatusCode.UNAVAILABLE)
            eventually(lambda: log.events.count("disconnected") > 2, "tries")
        stream = server.next_stream()
        while stream.over.wait(0.3):  # nobody could read it
            stream = server.next_stream()
        stream.send(heartbeat(1))
        assert server.next_report().version == 1
        assert watch.error is None


def test_a_report_that_cannot_be_begun_is_tried_again(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with confstream_client.Client(server.address) as subject:
        with monkeypatch.context() as patch:
            tried = threading.Event()

            def future(*args: object, **options: object) -> NoReturn:
                tried.set()
                fail()

            patch.setattr(threads, "_see_that_threads_start", lambda: None)
            patch.setattr(subject.stub.ReportOutcome, "future", future)
            watch = subject.watch("demo", on_change=lambda change: None)
            stream = server.next_stream()
            stream.send(snapshot(1, FILES))
            assert tried.wait(TIMEOUT)
        stream.send(heartbeat(1))
        assert server.next_report().version == 1
        assert watch.error is None


@pytest.mark.parametrize("broken", ["_take", "_next_report"])
def test_an_error_of_the_core_ends_the_watch(
    client: Subject,
    server: ScriptedServer,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
) -> None:
    log = Log(lambda: None)
    logger.addHandler(log)
    watch = client.watch(logger=logger)
    stream = server.next_stream()
    stream.send(snapshot(1, FILES))
    watch.wait(TIMEOUT)
    monkeypatch.setattr(WatchCore, broken, lambda *args: fail())
    stream.send(heartbeat(1))
    expect_internal_end(watch)
    assert stream.over.wait(TIMEOUT)
    eventually(lambda: log.events.count("ended") == 1, "the log")


def test_an_error_of_what_carries_out_the_steps_ends_the_watch(
    client: Subject, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, FILES))
    watch.wait(TIMEOUT)
    for module in (threads, aio):
        monkeypatch.setattr(module._Stream, "read", lambda *args: fail())
    stream.send(heartbeat(1))
    expect_internal_end(watch)
    assert stream.over.wait(TIMEOUT)


def test_an_error_of_grpc_while_a_stream_ends_is_one_more_reason_to_try_again(
    client: Subject, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, FILES))
    assert next(watch).new.version == 1
    with monkeypatch.context() as patch:
        for module in (threads, aio):
            patch.setattr(module, "ended_with", lambda *args: fail())
        stream.end(grpc.StatusCode.UNAVAILABLE)
        again = server.next_stream()
    again.send(snapshot(2, {}))
    assert next(watch).new.version == 2


def test_a_task_that_somebody_cancels_ends_the_watch(server: ScriptedServer) -> None:
    async def program() -> None:
        async with aio.Client(server.address) as client:
            watch = client.watch("demo")
            stream = await asyncio.to_thread(server.next_stream)
            stream.send(snapshot(1, FILES))
            await watch.wait(TIMEOUT)
            watch._following.cancel()
            with pytest.raises(WatchEnded, match="CancelledError"):
                async for _ in watch:
                    pass
            assert watch.stale

    asyncio.run(asyncio.wait_for(program(), TIMEOUT))


def test_a_call_that_does_not_end_when_it_is_cancelled_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        released = threading.Event()

        def __iter__(self) -> Iterator[object]:
            self.released.wait()
            return iter(())

        def cancel(self) -> None:
            """Have no effect."""

        code = details = trailing_metadata = lambda self: None

    monkeypatch.setattr(threads, "CANCEL_PATIENCE", 0.1)
    call: Any = Endless()
    stream = threads._Stream(call)
    stream.close()
    assert stream._reader.is_alive()
    call.released.set()
    stream._reader.join(TIMEOUT)
    assert not stream._reader.is_alive()
