"""The client for asyncio, with the same promises as that for threads."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from confstream.v1.config_service_pb2 import WatchRequest, WatchResponse
from confstream.v1.config_service_pb2_grpc import ConfigServiceStub

from ._assembler import DEFAULT_MAX_BYTES
from ._base import LOGGER, BaseWatch
from ._core import (
    REPORT_TIMEOUT,
    Arrival,
    Ended,
    Idle,
    Job,
    Open,
    Read,
    Report,
    Save,
    Sleep,
    Tell,
    WatchCore,
    next_of,
)
from ._options import ChannelOptions, Mode, WatchOptions, channel_target, options_of_channel
from ._rpc import WATCH, ended_with, failed_with, failure_of, message_of
from .snapshot import Change, Snapshot

if TYPE_CHECKING:
    from confstream.v1.config_service_pb2_grpc import ConfigServiceAsyncStub

OnChange = Callable[[Change], object]

_CALLED_FROM: ContextVar[Tell | None] = ContextVar("confstream_called_from", default=None)
"""The call of a callback that this runs in, or that began the task that this runs in."""


class Client:
    """A connection to one server, for any number of watches. Made, and used, in one event loop.

    Takes what `confstream_client.Client` does; `stub` is the generated one of grpc.aio.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        channel_options: ChannelOptions = (),
    ) -> None:
        options = options_of_channel(channel_options)
        address = channel_target(target)
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self.stub = cast("ConfigServiceAsyncStub", ConfigServiceStub(self._channel))
        self._open = self._channel.unary_stream(WATCH, WatchRequest.SerializeToString, message_of)
        self._watches: set[Watch] = set()
        self._closed = False

    def watch(
        self,
        source: str,
        globs: Iterable[str] = (),
        *,
        on_change: OnChange | None = None,
        mode: Mode = "delta",
        heartbeat: float = 30.0,
        min_update_interval: float | None = None,
        client_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        logger: logging.Logger = LOGGER,
    ) -> Watch:
        """Begin to follow `source`, or the files of it that `globs` select. Does not wait for the server.

        The options are those of `confstream_client.Client.watch`. `on_change` is a function or a coroutine function,
        called in a task of the watch.
        """
        options = WatchOptions.of(
            source=source,
            globs=globs,
            mode=mode,
            heartbeat=heartbeat,
            min_update_interval=min_update_interval,
            client_id=client_id,
            labels=labels,
            cache_dir=cache_dir,
            max_bytes=max_bytes,
        )
        if self._closed:
            raise ValueError("the client is closed")
        watch = Watch(self, options, on_change, logger)
        self._watches.add(watch)
        return watch

    async def close(self) -> None:
        """Close all watches, as `Watch.close` does, and the connection. A second call returns at once."""
        if self._closed:
            return
        self._closed = True
        for watch in list(self._watches):
            await watch.close()
        await self._channel.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


class Watch(BaseWatch):
    """A source, or a part of it, that is followed until `close`. Made by `Client.watch`, and used in its event loop.

    Iterate over it, or give it a callback, to get its changes: the first has no `old`. Who is slow misses versions,
    never the newest. Each change goes to one of those who iterate. An iteration ends when the watch is closed, and
    raises WatchEnded when it ends by itself.

    The copy on disk is held once `async with` has been entered, or `wait` has returned.
    """

    def __init__(
        self,
        client: Client,
        options: WatchOptions,
        on_change: OnChange | None,
        logger: logging.Logger,
    ) -> None:
        self._client = client
        self._on_change = on_change
        self._logger = logger
        self._core = WatchCore(options, has_callback=on_change is not None)
        self._stream: _Stream | None = None
        self._report: grpc.aio.Call | None = None
        loop = asyncio.get_running_loop()
        self._changed = loop.create_future()  # done when something happens, and then another one
        self._begun = loop.create_task(self._begin())
        self._following = loop.create_task(self._follow())
        self._dispatching = loop.create_task(self._dispatch())
        for task in (self._following, self._dispatching):
            task.add_done_callback(self._end)
        self._calling: Tell | None = None  # the callback, while it runs

    async def wait(self, timeout: float | None = None) -> Snapshot:
        """Return the snapshot as soon as the server has settled it: by content, or by word that the copy is current.

        After `timeout` seconds (None: never) it returns the copy from disk, if there is one, which is `stale` then.
        Raises WaitTimeout, a TimeoutError, if there is none; WatchEnded; WatchClosed.
        """
        end = None if timeout is None else time.monotonic() + timeout
        await asyncio.wait({self._begun})  # however short the time is, there may be a copy
        await self._until(self._core.has_answer, end)
        return self._core.first_state()

    def __aiter__(self) -> AsyncIterator[Change]:
        self._check_iterable()
        return self

    async def __anext__(self) -> Change:
        self._check_iterable()
        await self._until(self._core.has_change)
        change = self._core.next_change()
        if change is None:
            raise StopAsyncIteration
        return change

    def report(self, snapshot: Snapshot, rejected: str | None = None) -> None:
        """Say what became of `snapshot`: applied, or `rejected` for this reason, of which 1024 bytes count.

        For programs without a callback. What cannot be told is told again, and logged.
        """
        self._core.decide(snapshot, rejected)
        self._notify()

    async def close(self) -> None:
        """End the stream, wait for a callback that is running (unless called from it), and leave no task."""
        self._core.closed = True
        self._hang_up()
        if self._report is not None:
            self._report.cancel()
        tasks = {self._following}
        if self._calling is None or self._calling is not _CALLED_FROM.get():  # else its callback closes it
            tasks.add(self._dispatching)
        await asyncio.wait(tasks)

    async def __aenter__(self) -> Watch:
        await asyncio.shield(self._begun)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _begin(self) -> None:
        copy = await asyncio.to_thread(self._core.load_copy)
        self._core.begin(copy)
        self._log(self._core.take_notes())

    def _end(self, task: asyncio.Task[None]) -> None:
        """End the watch with its task, and with what that failed with: it would claim to be fresh for ever."""
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None:
            self._core.fail(failure)
        self._hang_up()
        if self._following.done() and self._dispatching.done():  # else Client.close has to wait for it
            self._client._watches.discard(self)

    def _hang_up(self) -> None:
        """Wake who waits, and end the stream. REQUIRES: the watch is over, so that no other stream follows."""
        self._notify()
        if self._stream is not None:
            self._stream.cancel()

    async def _follow(self) -> None:
        await asyncio.shield(self._begun)
        steps = self._core.follow()
        arrived: Arrival = None
        try:
            while not self._core.over():
                step = next_of(steps, arrived)
                self._log(self._core.take_notes())
                self._notify()
                arrived = None
                if step is None:
                    return
                if isinstance(step, Open):
                    arrived = self._open(step.request)
                elif isinstance(step, Sleep):
                    await self._until(self._core.over, step.until)
                elif self._stream is not None and isinstance(step, Read):
                    arrived = await self._stream.read(step.until - time.monotonic())
                elif self._stream is not None:
                    await self._stream.close()
        finally:
            if self._stream is not None:
                await self._stream.close()

    def _open(self, request: WatchRequest) -> Ended | None:
        try:
            self._stream = _Stream(self._client._open(request))
        except Exception as error:
            return failed_with(error)
        return None

    async def _dispatch(self) -> None:
        await asyncio.shield(self._begun)
        jobs = self._core.dispatch()
        failure: BaseException | None = None
        while True:
            job = next_of(jobs, failure)
            changed = self._changed
            self._log(self._core.take_notes())
            if job is None:
                return
            failure = None
            if isinstance(job, Idle):
                await asyncio.wait({changed})
            else:
                failure = await self._do(job)

    async def _do(self, job: Job) -> BaseException | None:
        """Do it, and return what it failed with."""
        try:
            if isinstance(job, Tell) and self._on_change is not None:
                self._calling = job
                _CALLED_FROM.set(job)
                try:
                    result = self._on_change(job.change)
                except asyncio.CancelledError as error:  # its own: this task is cancelled while it waits only
                    return error
                if inspect.isawaitable(result):
                    # A task of its own, so that one that is cancelled in it does not end this one.
                    calling = asyncio.ensure_future(result)
                    await asyncio.wait({calling})
                    return asyncio.CancelledError() if calling.cancelled() else calling.exception()
            elif isinstance(job, Save) and self._core.disk is not None:
                await asyncio.to_thread(self._core.disk.save, job.snapshot)
            elif isinstance(job, Report):
                self._report = self._client.stub.ReportOutcome(job.request, timeout=REPORT_TIMEOUT)
                return failure_of(await self._report.code(), await self._report.details())
        except Exception as error:
            return error
        finally:
            self._calling = None
        return None

    async def _until(self, condition: Callable[[], bool], end: float | None = None) -> None:
        """Wait until `condition` is true, or time.monotonic() is `end`."""
        while not condition():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            await asyncio.wait({self._changed}, timeout=left)  # which cancels no future that others wait for

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.get_running_loop().create_future()
        changed.set_result(None)


class _Stream:
    """A call of Watch, read with deadlines."""

    def __init__(self, call: grpc.aio.UnaryStreamCall[Message, WatchResponse | Ended]) -> None:
        self._call = call
        self._reading: asyncio.Task[WatchResponse | Ended] | None = None

    async def read(self, seconds: float) -> Arrival:
        """Return what comes next, or None if nothing does in time."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._next())
        # A read that is cancelled cancels its call, so it goes on behind a deadline.
        done, _ = await asyncio.wait({self._reading}, timeout=max(0, seconds))
        if not done:
            return None
        arrived, self._reading = self._reading.result(), None
        return arrived

    def cancel(self) -> None:
        """End it soon."""
        self._call.cancel()

    async def close(self) -> None:
        """End it, and leave no task."""
        self._call.cancel()
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def _next(self) -> WatchResponse | Ended:
        try:
            arrived = await self._next_message()
        except Exception as error:
            arrived = failed_with(error)
        if isinstance(arrived, Ended):
            self._call.cancel()  # it may be open yet
        return arrived

    async def _next_message(self) -> WatchResponse | Ended:
        call = self._call
        try:
            message = await call.read()
            if isinstance(message, (WatchResponse, Ended)):
                return message
        except (grpc.RpcError, asyncio.CancelledError):
            pass  # the call has it, too
        return ended_with(await call.code(), await call.details(), await call.trailing_metadata())
