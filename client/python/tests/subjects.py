"""The two clients, behind one face for tests: `Threads` as it is, `Asyncio` in an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import confstream_client
from confstream_client import Change, Snapshot, WatchEnded, aio
from scripted_server import TIMEOUT

T = TypeVar("T")


class Watch(Protocol):
    """What tests do with a watch."""

    @property
    def stale(self) -> bool: ...
    @property
    def error(self) -> WatchEnded | None: ...
    def current(self) -> Snapshot | None: ...
    def wait(self, timeout: float | None = None) -> Snapshot: ...
    def report(self, snapshot: Snapshot, rejected: str | None = None) -> None: ...
    def close(self) -> None: ...
    def __iter__(self) -> Any: ...
    def __next__(self) -> Change: ...


class Subject(Protocol):
    """What tests do with a client."""

    def watch(self, source: str = "demo", **options: Any) -> Watch: ...
    def close(self) -> None: ...


class Threads:
    def __init__(self, target: str) -> None:
        self._client = confstream_client.Client(target)

    def watch(self, source: str = "demo", **options: Any) -> Watch:
        return self._client.watch(source, **options)

    def close(self) -> None:
        self._client.close()


class Asyncio:
    def __init__(self, target: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

        async def connect() -> aio.Client:
            return aio.Client(target)

        self._client = self.run(connect())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(3 * TIMEOUT)

    def watch(
        self,
        source: str = "demo",
        on_change: Callable[[Change], Any] | None = None,
        **options: Any,
    ) -> Watch:
        async def on_change_aside(change: Change) -> None:
            # A callback of these tests may block, as one for threads does: not in the event loop.
            assert on_change is not None
            await asyncio.to_thread(on_change, change)

        async def watch() -> aio.Watch:
            callback = on_change_aside if on_change else None
            watch = self._client.watch(source, on_change=callback, **options)
            return await watch.__aenter__()

        return AsyncioWatch(self, self.run(watch()))

    def close(self) -> None:
        async def close() -> set[asyncio.Task[Any]]:
            await self._client.close()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            mine = {task for task in tasks if "_AioCall" not in repr(task)}
            # What grpc.aio has for a call that was cancelled ends a moment later.
            return mine if mine or not tasks else (await asyncio.wait(tasks, timeout=TIMEOUT))[1]

        tasks = self.run(close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        assert not tasks, tasks


class AsyncioWatch:
    def __init__(self, subject: Asyncio, watch: aio.Watch) -> None:
        self._subject = subject
        self._watch = watch
        self.current = watch.current

    @property
    def stale(self) -> bool:
        return self._watch.stale

    @property
    def error(self) -> WatchEnded | None:
        return self._watch.error

    def wait(self, timeout: float | None = None) -> Snapshot:
        return self._subject.run(self._watch.wait(timeout))

    def report(self, snapshot: Snapshot, rejected: str | None = None) -> None:
        self._subject.loop.call_soon_threadsafe(self._watch.report, snapshot, rejected)

    def close(self) -> None:
        self._subject.run(self._watch.close())

    def __iter__(self) -> AsyncioWatch:
        self._watch.__aiter__()
        return self

    def __next__(self) -> Change:
        async def following() -> Change | None:
            async for change in self._watch:
                return change
            return None

        change = self._subject.run(following())
        if change is None:
            raise StopIteration
        return change
