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

from confstream.v1.config_service_pb2 import ReportOutcomeRequest, WatchRequest, WatchResponse
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
from ._options import ChannelOptions, Mode, WatchOptions, channel_target, options_of_channel
from ._rpc import WATCH, ended_with, failed_with, failure_of, message_of
from .snapshot import Change, Snapshot

CANCEL_PATIENCE = 5.0  # seconds


class Client:
    """A connection to one server, for any number of watches. Thread-safe.

    `target` is `host:port`, `[v6]:port` or `unix:/path`; ValueError if it is neither. It is connected to when the
    first call needs it, without TLS unless there are `credentials`. `channel_options` are gRPC's, and replace those
    of this package.

    `stub` is the generated one, for calls that a watch does not make, such as `ListSources`.
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
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, credentials, options)
        self.stub = ConfigServiceStub(self._channel)
        self._open = self._channel.unary_stream(WATCH, WatchRequest.SerializeToString, message_of)
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
            # Without those that were closed from their callback, and that nobody has waited for.
            self._watches = {watch, *(other for other in self._watches if other._is_running())}
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
            threading.Thread(target=self._run, args=(work,), name=f"confstream {name} {self._core.source}", daemon=True)
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
        self._hang_up()
        if self._report is not None:
            self._report.cancel()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        if not self._is_running():  # else it was closed from its callback, for which Client.close waits
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

    def _run(self, work: Callable[[], None]) -> None:
        """Work, and end the watch with what that fails with: it would claim to be fresh for ever."""
        try:
            work()
        except BaseException as error:  # SystemExit, too, would end this thread and nothing else
            with self._changed:
                self._core.fail(error)
        self._hang_up()

    def _hang_up(self) -> None:
        """Wake who waits, and end the stream. REQUIRES: the watch is over, so that no other stream follows."""
        with self._changed:
            self._changed.notify_all()
        if self._stream is not None:
            self._stream.cancel()

    def _follow(self) -> None:
        try:
            self._follow_streams()
        finally:
            if self._stream is not None:
                self._stream.close()

    def _follow_streams(self) -> None:
        steps = self._core.follow()
        arrived: Arrival = None
        while True:
            with self._changed:
                step = None if self._core.over() else next_of(steps, arrived)
                # Under the lock, so that close() finds the stream.
                arrived = self._open(step.request) if isinstance(step, Open) else None
                notes = self._core.take_notes()
                self._changed.notify_all()
            self._log(notes)
            stream = self._stream
            if step is None:  # it is closed, or has ended
                return
            if isinstance(step, Sleep):
                with self._changed:
                    self._changed.wait_for(self._core.over, max(0, step.until - time.monotonic()))
            elif stream is not None and isinstance(step, Read):
                arrived = stream.read(step.until - time.monotonic())
            elif stream is not None and isinstance(step, HangUp):
                stream.close()

    def _open(self, request: WatchRequest) -> Ended | None:
        try:
            _see_that_threads_start()
            self._stream = _Stream(self._client._open(request))
        except Exception as error:
            return failed_with(error)
        return None

    def _dispatch(self) -> None:
        jobs = self._core.dispatch()
        failure: BaseException | None = None
        while True:
            with self._changed:
                job = next_of(jobs, failure)
                notes = self._core.take_notes()
                if isinstance(job, Idle) and not notes:
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
            elif isinstance(job, Report) and (call := self._begin_report(job.request)) is not None:
                return failure_of(call.code(), call.details())
        except BaseException as error:  # SystemExit, too, would end this thread and nothing else
            return error
        return None

    def _begin_report(self, request: ReportOutcomeRequest) -> grpc.Call | None:
        with self._changed:  # so that close() finds it
            if self._core.closed:
                return None
            _see_that_threads_start()
            self._report = self._client.stub.ReportOutcome.future(request, timeout=REPORT_TIMEOUT)
            return self._report

    def _is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)


def _see_that_threads_start() -> None:
    """Raise RuntimeError if none can be started.

    To be asked before a call: a channel that cannot start the thread which it needs for one hangs for ever, in its
    close() too.
    """
    thread = threading.Thread(target=int, name="confstream probe", daemon=True)
    thread.start()
    thread.join()


class _Stream:
    """A call of Watch, read with deadlines. Reads ahead by one message: who is slow is for the server to see."""

    def __init__(self, call: grpc._CallIterator[WatchResponse | Ended]) -> None:
        self._call = call
        self._arrived: queue.Queue[WatchResponse | Ended] = queue.Queue(maxsize=1)
        self._ended = False
        self._reader = threading.Thread(target=self._pump, name="confstream read", daemon=True)
        try:
            self._reader.start()
        except BaseException:
            call.cancel()
            raise

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
        """End it, and leave no thread.

        gRPC ends at once a call that is cancelled. Should it ever not, the thread is left to end with the channel: who
        closes a watch is not to wait for ever.
        """
        self._call.cancel()
        end = time.monotonic() + CANCEL_PATIENCE
        while not self._ended:
            try:
                self._ended = isinstance(self._arrived.get(timeout=max(0, end - time.monotonic())), Ended)
            except queue.Empty:
                return
        self._reader.join()

    def _pump(self) -> None:
        try:
            ended = self._pump_messages()
        except Exception as error:
            ended = failed_with(error)
        self._call.cancel()  # it may be open yet
        self._arrived.put(ended)

    def _pump_messages(self) -> Ended:
        call = self._call
        try:
            for message in call:
                if isinstance(message, Ended):
                    return message
                self._arrived.put(message)
        except grpc.RpcError:
            pass  # the call has it, too
        return ended_with(call.code(), call.details(), call.trailing_metadata())
