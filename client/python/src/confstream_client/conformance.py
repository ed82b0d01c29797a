"""The driver for tests/conformance: a watch that prints what happens to it, a JSON object a line.

`python -m confstream_client.conformance --help`; `--asyncio` drives the asyncio client in the same way.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from . import Change, Client, ConfstreamError, aio
from ._base import BaseWatch

_saying = threading.Lock()


def say(event: str, **fields: object) -> None:
    """Print a line, at once and whole. Thread-safe."""
    with _saying:
        print(json.dumps({"event": event, **fields}), flush=True)


def lines() -> Iterator[bytes]:
    """Yield what comes on stdin. It is not buffered: a thread that waits in a buffer keeps Python from exiting."""
    return iter(open(0, "rb", buffering=0, closefd=False).readline, b"")


class Teller(logging.Handler):
    """Prints what the log has for programs."""

    def __init__(self, when_ended: Callable[[], object]) -> None:
        super().__init__()
        self._when_ended = when_ended

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record's event, if it is one of the driver's."""
        fields: dict[str, Any] = getattr(record, "confstream", {})
        event = fields.get("event")
        if event in ("stale", "fresh"):
            say(event)
        elif event == "disconnected":
            say(event, code=fields["code"], retry_ms=fields["retry_ms"])
        elif event == "ended":
            self._when_ended()


def say_ended(watch: BaseWatch) -> None:
    """Print that `watch` has ended by itself, if it has."""
    if watch.error is not None:
        say("ended", code=watch.error.code.name, stale=watch.stale)


def tell_change(change: Change) -> None:
    """Print `change`."""
    new = change.new
    digests = {f.path: "sha256:" + hashlib.sha256(f.content).hexdigest() for f in new.values()}
    say(
        "change",
        version=new.version,
        epoch=new.epoch,
        view_digest=new.view_digest,
        files=digests,
        old_version=change.old.version if change.old else None,
        from_cache=change.from_cache,
        missing_globs=list(new.missing_globs),
    )


def judge(change: Change, flags: argparse.Namespace) -> None:
    """Fail if `change` is to be rejected."""
    if flags.reject and any(flags.reject.encode() in f.content for f in change.new.values()):
        raise ValueError(f"rejected: {flags.reject}")


def options_of(flags: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the watch."""
    return {
        "globs": flags.glob,
        "mode": flags.mode,
        "heartbeat": flags.heartbeat,
        "cache_dir": flags.cache_dir,
        "max_bytes": flags.max_bytes,
    }


def run(flags: argparse.Namespace) -> None:
    """Drive the client for threads."""
    over = threading.Event()
    logging.getLogger("confstream_client").addHandler(Teller(over.set))

    def on_change(change: Change) -> None:
        tell_change(change)
        time.sleep(flags.slow / 1000)
        judge(change, flags)

    def wait() -> None:
        try:
            say("settled", version=watch.wait(flags.wait).version, stale=watch.stale)
        except ConfstreamError as error:
            if not closing.is_set():
                say("wait_failed", message=str(error))

    def answer() -> None:
        for line in lines():
            if line.strip() == b"close":
                break
            current = watch.current()
            say("current", version=current.version if current else None, stale=watch.stale)
        closing.set()
        over.set()

    closing = threading.Event()
    with Client(flags.target) as client:
        watch = client.watch(flags.source, on_change=on_change, **options_of(flags))
        waiting = threading.Thread(target=wait)
        waiting.start()
        threading.Thread(target=answer, daemon=True).start()
        over.wait()
        say_ended(watch)
        watch.close()
        waiting.join()
    if closing.is_set():
        say("closed")


async def run_asyncio(flags: argparse.Namespace) -> None:
    """Drive the client for asyncio."""
    over, closing = asyncio.Event(), False
    logging.getLogger("confstream_client").addHandler(Teller(over.set))

    async def on_change(change: Change) -> None:
        tell_change(change)
        await asyncio.sleep(flags.slow / 1000)
        judge(change, flags)

    async def wait() -> None:
        try:
            say("settled", version=(await watch.wait(flags.wait)).version, stale=watch.stale)
        except ConfstreamError as error:
            if not closing:
                say("wait_failed", message=str(error))

    def answer(line: bytes) -> None:
        nonlocal closing
        if line.strip() in (b"", b"close"):
            closing = True
            over.set()
            return
        current = watch.current()
        say("current", version=current.version if current else None, stale=watch.stale)

    def read() -> None:
        with suppress(RuntimeError):  # the loop is closed
            for line in lines():
                loop.call_soon_threadsafe(answer, line)
            loop.call_soon_threadsafe(answer, b"")

    loop = asyncio.get_running_loop()
    async with aio.Client(flags.target) as client:
        watch = client.watch(flags.source, on_change=on_change, **options_of(flags))
        waiting = asyncio.create_task(wait())
        threading.Thread(target=read, daemon=True).start()
        await over.wait()
        say_ended(watch)
        await watch.close()
        await waiting
    if closing:
        say("closed")


def main() -> None:
    """Run the driver."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--glob", action="append", default=[])
    parser.add_argument("--mode", choices=("snapshot", "delta"), default="delta")
    parser.add_argument("--heartbeat", type=float, default=30.0)
    parser.add_argument("--cache-dir")
    parser.add_argument("--max-bytes", type=int, default=1 << 30)
    parser.add_argument("--wait", type=float, default=30.0)
    parser.add_argument("--reject")
    parser.add_argument("--slow", type=float, default=0.0)
    parser.add_argument("--asyncio", action="store_true", help="drive the client for asyncio")
    flags = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    if flags.asyncio:
        asyncio.run(run_asyncio(flags))
    else:
        run(flags)


if __name__ == "__main__":
    main()
