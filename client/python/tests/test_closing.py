"""What closing looks like from inside: of a callback, a task, a program that forgot to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

import confstream_client
from confstream_client import Change, aio
from scripted_server import TIMEOUT, ScriptedServer, snapshot


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
        # Nobody closes it: asyncio.run cancels the tasks.

    streams = []

    def play() -> None:
        streams.append(server.next_stream())
        streams[0].send(snapshot(1, {"a": b"a"}))

    server_side = threading.Thread(target=play)
    server_side.start()
    asyncio.run(program())
    server_side.join()
    assert streams[0].over.wait(TIMEOUT)


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
