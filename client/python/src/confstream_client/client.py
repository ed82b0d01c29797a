"""The client for programs with threads."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType

import grpc

from confstream.v1.config_service_pb2 import WatchResponse
from confstream.v1.config_service_pb2_grpc import ConfigServiceStub

from ._assembler import DEFAULT_MAX_BYTES
from ._base import LOGGER, BaseWatch
from ._core import (
    REPORT_TIMEOUT,
    Arrival,
    Ended,
    HangUp,
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
from ._options import CHANNEL_OPTIONS, ChannelOptions, Mode, WatchOptions, channel_target
from ._rpc import ended_with, failure_of
from .snapshot import Change, Snapshot


class Client:
    """A connection to one server, for any number of watches. Thread-safe.

    `target` is `host:port`, `[v6]:port` or `unix:/path`; ValueError if it is neither. It is connected to when the
    first call needs it, without TLS unless there are `credentials`. `channel_options` are gRPC's, and come after
    those of this package.

    `stub` is the generated one, for calls that a watch does not make, such as `ListSources`.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        channel_options: ChannelOptions = (),
    ) -> None:
        options = [*CHANNEL_OPTIONS, *channel_options]
        address = channel_target(target)
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self.stub = ConfigServiceStub(self._channel)
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._closed = False

    def watch(
        self,
        source: str,
        globs: Iterable[str] = (),
        *,
        on_change: Callable[[Change], object] | None = None,
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

        Args:
            source: Name of the source.
            globs: What to watch of it, such as `["app/*.yaml"]`; all files if there are none.
            on_change: Called with each change, on a thread of the watch, one call at a time. When it returns, the
                version is reported as applied; when it raises, as rejected, with the text of the exception. Without
                it, iterate over the watch.
            mode: How changes are sent: `delta` or `snapshot`.
            heartbeat: Seconds, from 1 to 3600. When nothing was heard for three of them, what is held is stale.
            min_update_interval: The least seconds between two versions, at most 3600.
            client_id: Who `confstream who` shows; the program's name if it is None.
            labels: What else it shows, such as pod and namespace.
            cache_dir: Where the last good snapshot is kept, unencrypted; it is made if it is missing.
            max_bytes: The most bytes of a version. A larger one is refused, and tried again later.
            logger: What gets the log.

        Raises ValueError or TypeError for options that cannot be. Close the watch when it is no more needed.
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
        with self._lock:
            if self._closed:
                raise ValueError("the client is closed")
            watch = Watch(self, options, on_change, logger)
            self._watches.add(watch)
        return watch

    def close(self) -> None:
        """Close all watches, as `Watch.close` does, and the connection. A second call returns at once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            watches = list(self._watches)
        for watch in watches:
            watch.close()
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Watch(BaseWatch):
    """A source, or a part of it, that is followed until `close`. Made by `Client.watch`. Thread-safe.

    Iterate over it, or give it a callback, to get its changes: the first has no `old`. Who is slow misses versions,
    never the newest. Each change goes to one of those who iterate. An iteration ends when the watch is closed, and
    raises WatchEnded when it ends by itself.
    """

    def __init__(
        self,
        client: Client,
        options: WatchOptions,
        on_change: Callable[[Change], object] | None,
        logger: logging.Logger,
    ) -> None:
        self._client = client
        self._on_change = on_change
        self._logger = logger
        self._core = WatchCore(options, has_callback=on_change is not None)
        self._core.begin(self._core.load_copy())
        self._log(self._core.take_notes())
        # Guards the core and what is below. No log, callback or IO is under it.
        self._changed = threading.Condition()
        self._stream: _Stream | None = None
        self._report: grpc.Call | None = None
        self._threads = [
            threading.Thread(target=work, name=f"confstream {name} {self._core.source}", daemon=True)
            for name, work in (("follow", self._follow), ("dispatch", self._dispatch))
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Return the snapshot as soon as the server has settled it: by content, or by word that the copy is current.

        After `timeout` seconds (None: never) it returns the copy from disk, if there is one, which is `stale` then.
        Raises WaitTimeout, a TimeoutError, if there is none; WatchEnded; WatchClosed.
        """
        with self._changed:
            self._changed.wait_for(self._core.has_answer, timeout)
            return self._core.first_state()

    def __iter__(self) -> Iterator[Change]:
        self._check_iterable()
        return self

    def __next__(self) -> Change:
        self._check_iterable()
        with self._changed:
            self._changed.wait_for(self._core.has_change)
            change = self._core.next_change()
        if change is None:
            raise StopIteration
        return change

    def report(self, snapshot: Snapshot, rejected: str | None = None) -> None:
        """Say what became of `snapshot`: applied, or `rejected` for this reason, of which 1024 bytes count.

        For programs without a callback. Returns at once; what cannot be told is told again, and logged.
        """
        with self._changed:
            self._core.decide(snapshot, rejected)
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream, wait for a callback that is running (unless called from it), and leave no thread."""
        with self._changed:
            self._core.closed = True
            self._changed.notify_all()
            calls = (self._stream, self._report)
        for call in calls:
            if call is not None:
                call.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        with self._client._lock:
            self._client._watches.discard(self)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _follow(self) -> None:
        steps = self._core.follow()
        arrived: Arrival = None
        while True:
            with self._changed:
                step = None if self._core.closed else next_of(steps, arrived)
                if isinstance(step, Open):
                    # Under the lock, so that close() finds it.
                    self._stream = _Stream(self._client.stub.Watch(step.request))
                notes = self._core.take_notes()
                self._changed.notify_all()
            self._log(notes)
            stream, arrived = self._stream, None
            if step is None:  # it is closed, or has ended by itself
                if stream is not None:
                    stream.close()
                return
            if isinstance(step, Sleep):
                with self._changed:
                    self._changed.wait_for(self._is_closed, max(0, step.until - time.monotonic()))
            elif stream is not None and isinstance(step, Read):
                arrived = stream.read(step.until - time.monotonic())
            elif stream is not None and isinstance(step, HangUp):
                stream.close()

    def _dispatch(self) -> None:
        jobs = self._core.dispatch()
        failure: BaseException | None = None
        while True:
            with self._changed:
                job = next_of(jobs, failure)
                notes = self._core.take_notes()
                if isinstance(job, Report):
                    stub = self._client.stub
                    self._report = stub.ReportOutcome.future(job.request, timeout=REPORT_TIMEOUT)
                elif isinstance(job, Idle) and not notes:
                    self._changed.wait()
            self._log(notes)
            if job is None:
                return
            failure = self._do(job)

    def _do(self, job: Job) -> BaseException | None:
        """Do it, and return what it failed with."""
        try:
            if isinstance(job, Tell) and self._on_change is not None:
                self._on_change(job.change)
            elif isinstance(job, Save) and self._core.disk is not None:
                self._core.disk.save(job.snapshot)
            elif isinstance(job, Report) and self._report is not None:
                return failure_of(self._report.code(), self._report.details())
        except BaseException as error:  # SystemExit, too, would end this thread and nothing else
            return error
        return None

    def _is_closed(self) -> bool:
        return self._core.closed


class _Stream:
    """A call of Watch, read with deadlines. Reads ahead by one message: who is slow is for the server to see."""

    def __init__(self, call: grpc._CallIterator[WatchResponse]) -> None:
        self._call = call
        self._arrived: queue.Queue[WatchResponse | Ended] = queue.Queue(maxsize=1)
        self._ended = False
        self._reader = threading.Thread(target=self._pump, name="confstream read", daemon=True)
        self._reader.start()

    def read(self, seconds: float) -> Arrival:
        """Return what comes next, or None if nothing does in time."""
        try:
            arrived = self._arrived.get(timeout=max(0, seconds))
        except queue.Empty:
            return None
        self._ended = isinstance(arrived, Ended)
        if self._ended:
            self._reader.join()
        return arrived

    def cancel(self) -> None:
        """End it soon. May be called by any thread."""
        self._call.cancel()

    def close(self) -> None:
        """End it, and leave no thread."""
        self._call.cancel()
        while not self._ended:
            self._ended = isinstance(self._arrived.get(), Ended)
        self._reader.join()

    def _pump(self) -> None:
        try:
            for message in self._call:
                self._arrived.put(message)
        except grpc.RpcError:
            pass  # the call has it, too
        call = self._call
        self._arrived.put(ended_with(call.code(), call.details(), call.trailing_metadata()))
