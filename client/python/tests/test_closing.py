"""What closing looks like from inside: of a callback, a task, a program that forgot to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import confstream_client
from confstream_client import Change, aio
from scripted_server import TIMEOUT, ScriptedServer, Stream, snapshot


def test_a_callback_may_close_its_watch_and_client(server: ScriptedServer) -> None:
    closed = threading.Event()

    def on_change(change: Change) -> None:
        watch.close()
        client.close()
        closed.set()

    client = confstream_client.Client(server.address)
    watch = client.watch("demo", on_change=on_change)
    server.next_stream().send(snapshot(1, {"a": b"a"}))
    assert closed.wait(TIMEOUT)
    watch.close()
    with pytest.raises(ValueError, match="closed"):
        client.watch("demo")


def test_two_callbacks_may_close_their_client_at_once(server: ScriptedServer) -> None:
    both = threading.Barrier(2)
    done = threading.Semaphore(0)

    def on_change(change: Change) -> None:
        both.wait(TIMEOUT)
        client.close()
        done.release()

    client = confstream_client.Client(server.address)
    for _ in range(2):
        client.watch("demo", on_change=on_change)
        server.next_stream().send(snapshot(1, {"a": b"a"}))
    assert done.acquire(timeout=TIMEOUT)
    assert done.acquire(timeout=TIMEOUT)


def test_a_coroutine_callback_may_close_its_watch(server: ScriptedServer) -> None:
    async def program() -> None:
        closed = asyncio.Event()

        async def on_change(change: Change) -> None:
            await watch.close()
            closed.set()

        async with aio.Client(server.address) as client:
            watch = client.watch("demo", on_change=on_change)
            await asyncio.wait_for(closed.wait(), TIMEOUT)

    server_side = threading.Thread(target=lambda: server.next_stream().send(snapshot(1, {"a": b"a"})))
    server_side.start()
    asyncio.run(program())
    server_side.join()


async def close_in_a_task(watch: aio.Watch) -> None:
    await asyncio.gather(watch.close())


async def close_in_time(watch: aio.Watch) -> None:
    await asyncio.wait_for(watch.close(), TIMEOUT)


async def close_in_a_thread(watch: aio.Watch) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(watch.close(), loop).result(TIMEOUT))


@pytest.mark.parametrize("close", [close_in_a_task, close_in_time, close_in_a_thread])
def test_a_callback_may_have_its_watch_closed(
    server: ScriptedServer, close: Callable[[aio.Watch], Coroutine[Any, Any, None]]
) -> None:
    async def program() -> None:
        closed = asyncio.Event()

        async def on_change(change: Change) -> None:
            await close(watch)
            closed.set()

        client = aio.Client(server.address)
        watch = client.watch("demo", on_change=on_change)
        (await asyncio.to_thread(server.next_stream)).send(snapshot(1, {"a": b"a"}))
        await asyncio.wait_for(closed.wait(), TIMEOUT)
        await client.close()

    asyncio.run(program())


def test_a_task_of_an_earlier_callback_waits_for_the_one_that_runs(server: ScriptedServer) -> None:
    async def program() -> None:
        release, second, closing = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tasks: list[asyncio.Task[None]] = []

        async def close_later() -> None:
            await second.wait()
            closing.set()
            await watch.close()

        async def on_change(change: Change) -> None:
            if not tasks:
                tasks.append(asyncio.ensure_future(close_later()))
                return
            second.set()
            await release.wait()

        async with aio.Client(server.address) as client:
            watch = client.watch("demo", on_change=on_change)
            stream = await asyncio.to_thread(server.next_stream)
            stream.send(snapshot(1, {"a": b"a"}))
            await asyncio.to_thread(server.next_report)
            stream.send(snapshot(2, {"a": b"b"}))
            await closing.wait()
            await asyncio.sleep(0.2)
            assert not tasks[0].done()
            release.set()
            await tasks[0]

    asyncio.run(asyncio.wait_for(program(), TIMEOUT))


def test_closing_the_client_waits_for_a_callback_that_closed_its_watch(server: ScriptedServer) -> None:
    closed, release = threading.Event(), threading.Event()
    told: list[Change] = []

    def on_change(change: Change) -> None:
        watch.close()
        closed.set()
        assert release.wait(TIMEOUT)
        told.append(change)

    client = confstream_client.Client(server.address)
    watch = client.watch("demo", on_change=on_change)
    server.next_stream().send(snapshot(1, {"a": b"a"}))
    assert closed.wait(TIMEOUT)
    client.watch("demo")
    closing = threading.Thread(target=client.close)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    release.set()
    closing.join(TIMEOUT)
    assert len(told) == 1


def test_closing_the_client_of_asyncio_waits_for_a_callback_that_closed_its_watch(server: ScriptedServer) -> None:
    async def program() -> None:
        closed, release = asyncio.Event(), asyncio.Event()
        told: list[Change] = []

        async def on_change(change: Change) -> None:
            await watch.close()
            closed.set()
            await release.wait()
            told.append(change)

        client = aio.Client(server.address)
        watch = client.watch("demo", on_change=on_change)
        (await asyncio.to_thread(server.next_stream)).send(snapshot(1, {"a": b"a"}))
        await closed.wait()
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0.2)
        assert not closing.done()
        release.set()
        await closing
        assert len(told) == 1

    asyncio.run(asyncio.wait_for(program(), TIMEOUT))


def test_a_client_keeps_no_watch_that_has_ended(server: ScriptedServer) -> None:
    with confstream_client.Client(server.address) as client:
        for _ in range(3):
            watch = client.watch("demo", on_change=lambda change: watch.close())  # noqa: B023
            server.next_stream().send(snapshot(1, {"a": b"a"}))
            for thread in watch._threads:
                thread.join(TIMEOUT)
        assert client._watches == {watch}


def test_a_plain_function_is_a_callback_of_asyncio_too(server: ScriptedServer) -> None:
    async def program() -> None:
        got: asyncio.Queue[Change] = asyncio.Queue()
        async with (
            aio.Client(server.address) as client,
            client.watch("demo", on_change=got.put_nowait),
        ):
            change = await asyncio.wait_for(got.get(), TIMEOUT)
            assert change.new["a"].content == b"a"

    server_side = threading.Thread(target=lambda: server.next_stream().send(snapshot(1, {"a": b"a"})))
    server_side.start()
    asyncio.run(program())
    server_side.join()


def test_a_callback_that_is_cancelled_itself_rejects(server: ScriptedServer) -> None:
    async def program() -> None:
        async def on_change(change: Change) -> None:
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task

        async with aio.Client(server.address) as client, client.watch("demo", on_change=on_change):
            report = await asyncio.to_thread(server.next_report)
            assert report.reason == "CancelledError"

    server_side = threading.Thread(target=lambda: server.next_stream().send(snapshot(1, {"a": b"a"})))
    server_side.start()
    asyncio.run(program())
    server_side.join()


def test_a_plain_callback_of_asyncio_that_raises_cancelled_error_rejects(server: ScriptedServer) -> None:
    def on_change(change: Change) -> None:
        raise asyncio.CancelledError

    async def program() -> None:
        async with aio.Client(server.address) as client, client.watch("demo", on_change=on_change):
            report = await asyncio.to_thread(server.next_report)
            assert report.reason == "CancelledError"

    server_side = threading.Thread(target=lambda: server.next_stream().send(snapshot(1, {"a": b"a"})))
    server_side.start()
    asyncio.run(program())
    server_side.join()


def test_an_event_loop_that_stops_ends_the_watch(server: ScriptedServer) -> None:
    async def program() -> None:
        client = aio.Client(server.address)
        watch = client.watch("demo")
        await watch.wait(TIMEOUT)
        watches.append(watch)
        # Nobody closes it: asyncio.run cancels the tasks.

    streams: list[Stream] = []
    watches: list[aio.Watch] = []

    def play() -> None:
        streams.append(server.next_stream())
        streams[0].send(snapshot(1, {"a": b"a"}))

    server_side = threading.Thread(target=play)
    server_side.start()
    asyncio.run(program())
    server_side.join()
    assert streams[0].over.wait(TIMEOUT)
    assert watches[0].stale


def test_a_program_that_forgets_to_close_exits(server: ScriptedServer) -> None:
    program = f"""
import confstream_client
client = confstream_client.Client({server.address!r})
print(client.watch("demo").wait({TIMEOUT}).version)
"""
    server_side = threading.Thread(target=lambda: server.next_stream().send(snapshot(1, {"a": b"a"})))
    server_side.start()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=2 * TIMEOUT)
    server_side.join()
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


FORKS = """
import os, sys
from confstream_client import Client

with Client(sys.argv[1]) as client, client.watch("demo") as watch:
    watch.wait(10)
    child = os.fork()
    if child == 0:
        os._exit(0 if watch.current().version == 1 and watch.stale else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), watch.stale)
"""


def test_what_a_forked_process_inherits_is_stale(server: ScriptedServer) -> None:
    with subprocess.Popen([sys.executable, "-c", FORKS, server.address], stdout=subprocess.PIPE, text=True) as program:
        server.next_stream().send(snapshot(1, {"a": b"a"}))
        out, _ = program.communicate(timeout=TIMEOUT)
    assert out.split() == ["0", "False"]
