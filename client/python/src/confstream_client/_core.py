"""What a watch does and when, without any IO: `Watch` and `aio.Watch` carry out its steps.

A core is told of one thing at a time: whoever calls it holds the watch's lock, or runs in its event loop. Only
`held`, `stale` and `error` may be read at any time.
"""

from __future__ import annotations

import logging
import math
import os
import random
import re
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar, Union

import grpc

from confstream.v1 import config_service_pb2 as pb

from ._assembler import Assembler, RefusedError
from ._disk import DiskCopy
from ._options import WatchOptions
from .errors import WaitTimeout, WatchClosed, WatchEnded
from .snapshot import Change, Snapshot

# What a server may say, and a log must not: it would be another line, or a command to the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

FIRST_BACKOFF = 0.1  # seconds, as all times here
MOST_BACKOFF = 10.0
MOST_RETRY_AFTER = 60.0  # a server may ask for a longer wait than the backoff's, but not for any
MISSED_HEARTBEATS = 3
REPORT_TIMEOUT = 5.0
MOST_REASON_BYTES = 1024

# These come back until somebody changes the request or the server.
FINAL = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


@dataclass(frozen=True)
class Ended:
    """How a stream ended."""

    code: grpc.StatusCode
    details: str
    retry_after: float = 0.0  # what the server asks for


# The steps of `follow`. Times are those of time.monotonic().


@dataclass(frozen=True)
class Open:
    """Open a stream; answer how it ended if it cannot be opened."""

    request: pb.WatchRequest


@dataclass(frozen=True)
class Read:
    """Wait for what the stream brings; answer None if it is nothing until `until`."""

    until: float


@dataclass(frozen=True)
class HangUp:
    """End the stream."""


@dataclass(frozen=True)
class Sleep:
    """Wait until `until`."""

    until: float


Arrival = Union[pb.WatchResponse, Ended, None]
Step = Union[Open, Read, HangUp, Sleep]
Follow = Generator[Step, Arrival, None]


# The steps of `dispatch`. The answer is the exception that it failed with, or None.


@dataclass(frozen=True)
class Tell:
    """Call the callback."""

    change: Change


@dataclass(frozen=True)
class Save:
    """Write the disk copy."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Report:
    """Report an outcome."""

    request: pb.ReportOutcomeRequest


@dataclass(frozen=True)
class Idle:
    """Wait until something has happened."""


Job = Union[Tell, Save, Report, Idle]
Dispatch = Generator[Job, Union[BaseException, None], None]


StepT = TypeVar("StepT")
AnswerT = TypeVar("AnswerT")


def next_of(steps: Generator[StepT, AnswerT, None], answer: AnswerT) -> StepT | None:
    """Return the next step, after `answer` to the one before; None after the last."""
    try:
        return steps.send(answer)
    except StopIteration:
        return None


@dataclass(frozen=True)
class Note:
    """A sentence for the log."""

    level: int
    text: str
    fields: dict[str, object]
    error: BaseException | None

    def log_to(self, logger: logging.Logger) -> None:
        """Log it. What has an event is also for programs: the record's `confstream` has its fields."""
        logger.log(self.level, "%s", self.text, exc_info=self.error, extra={"confstream": self.fields})


class Backoff:
    """Exponential backoff with full jitter, so that clients that lost their server together do not come back so."""

    def __init__(self) -> None:
        self._bound = FIRST_BACKOFF

    def next(self) -> float:
        """Return how long to wait after one more failure."""
        delay = random.uniform(0, self._bound)  # noqa: S311
        self._bound = min(self._bound * 2, MOST_BACKOFF)
        return delay

    def reset(self) -> None:
        """Note that it worked: the next failure is the first again."""
        self._bound = FIRST_BACKOFF


class WatchCore:
    """The state of a watch, the story of its streams (`follow`) and that of what comes of them (`dispatch`)."""

    def __init__(self, options: WatchOptions, has_callback: bool) -> None:
        self.source = options.request.source
        self.has_callback = has_callback
        self.stale = False
        self._process = os.getpid()
        self.error: Ended | None = None
        self.closed = False
        self._failure: BaseException | None = None  # behind `error`, if it is the client's own
        self._end_told = False
        self.disk: DiskCopy | None = None
        if options.cache_dir is not None:
            globs = options.request.path_globs
            self.disk = DiskCopy(options.cache_dir, self.source, globs, options.max_bytes)
        self._request = options.request
        self._stale_after = MISSED_HEARTBEATS * options.heartbeat
        self._assembler = Assembler(options.max_bytes)
        self._backoff = Backoff()
        self._last_heard = time.monotonic()
        self._settled = False
        self._waiting_for = "the server has not answered yet"
        self._notes: list[Note] = []

        self._told: Snapshot | None = None  # by the last change that was handed out
        # The disk copy's, for the callback. It is as good as running: the server's first version waits behind it.
        self._first: Change | None = None
        self._pending: Change | None = None
        self._save_due: Snapshot | None = None

        self._watch_id = ""  # of the stream that is open
        # What became of the content with this view digest, and where the server was told: stream and version.
        self._decision: tuple[str, str | None] | None = None
        self._reported: tuple[str, int] | None = None
        self._late_report: pb.ReportOutcomeRequest | None = None  # of content that is no more held
        self._may_report = True  # False: no message has come since the last one was sent, which is on its way or failed

    @property
    def held(self) -> Snapshot | None:
        """The newest complete snapshot."""
        return self._assembler.held

    def load_copy(self) -> Snapshot | Exception | None:
        """Read the disk copy. Changes nothing; may be called without the lock."""
        try:
            return None if self.disk is None else self.disk.load()
        except Exception as error:  # whatever is wrong with it is no reason to have nothing
            return error

    def begin(self, copy: Snapshot | Exception | None) -> None:
        """Begin with the disk copy, or with what is wrong with it."""
        if isinstance(copy, Snapshot):
            self._assembler.hold(copy)
            change = Change(None, copy, from_cache=True)
            if self.has_callback:
                self._first, self._told = change, copy
            else:
                self._pending = change
            self._become_stale(f"begins with the copy from disk, version {copy.version}")
        elif copy is not None:
            self._note(logging.WARNING, f"the copy on disk does not count: {copy}")

    # What programs ask for.

    def has_answer(self) -> bool:
        """Whether `first_state` has more to say than that time is over."""
        return self._settled or self.over()

    def first_state(self) -> Snapshot:
        """Return, or raise, what `wait` does."""
        if self._settled or (self.held is not None and not self.over()):
            assert self.held is not None
            return self.held
        if self.error is not None:
            raise WatchEnded(self.error.code, self.error.details)
        if self.closed:
            raise WatchClosed(f"the watch of {self.source} is closed")
        raise WaitTimeout(f"no configuration of {self.source} in time: {self._waiting_for}")

    def over(self) -> bool:
        """Whether no more changes come."""
        return self.closed or self.error is not None

    def is_forked(self) -> bool:
        """Whether this is another process than that which follows the source."""
        return os.getpid() != self._process

    def has_change(self) -> bool:
        """Whether `next_change` has something to return or raise."""
        return self._pending is not None or self.over()

    def next_change(self) -> Change | None:
        """Hand out the change that waits; None once the watch is closed. Raises WatchEnded."""
        if self.closed:
            return None
        if self._pending is None:
            if self.error is not None:
                raise WatchEnded(self.error.code, self.error.details)
            return None
        return self._hand_out(self._pending)

    def _hand_out(self, change: Change) -> Change:
        self._pending = None
        self._told = change.new
        if self._decision is not None and self._decision[0] != change.new.view_digest:
            self._decision = None  # should that content come back, it is a change, to be decided on anew
        return change

    def decide(self, snapshot: Snapshot, rejected: str | None) -> None:
        """Note what became of `snapshot`: `rejected` says why, or is None if it is applied."""
        if rejected is not None:
            # A text has no more than it may, and no half characters at its end.
            cut = rejected.encode("utf-8", "replace")[:MOST_REASON_BYTES]
            rejected = cut.decode("utf-8", "ignore")
        digest, held, told = snapshot.view_digest, self.held, self._told
        is_held = held is not None and held.view_digest == digest
        # What was handed out last may be held again before anything else is handed out, and is no change then.
        if is_held or (told is not None and told.view_digest == digest):
            self._decision = (digest, rejected)
            self._reported = None
        if not is_held:
            self._late_report = self._report_of(snapshot, rejected)

    def take_notes(self) -> list[Note]:
        """Return what is to be logged since the last call."""
        notes, self._notes = self._notes, []
        return notes

    # The streams.

    def follow(self) -> Follow:
        """Follow the source, over as many streams as it takes, until a status that trying again does not change."""
        try:
            self.error = yield from self._follow_streams()
        except Exception as error:
            self.fail(error)

    def fail(self, failure: BaseException) -> None:
        """End the watch with a failure of the client itself: nobody else would hear of it."""
        if not self.over():
            self._failure = failure
            self.error = Ended(grpc.StatusCode.INTERNAL, f"the client failed: {failure!r}")

    def _follow_streams(self) -> Generator[Step, Arrival, Ended]:
        while True:
            opened = yield Open(self._begin_stream())
            ended = opened if isinstance(opened, Ended) else (yield from self._follow_stream())
            self._watch_id = ""
            if ended.code in FINAL:
                return ended
            text = f"{ended.code.name}: {ended.details}"
            self._waiting_for = f"the last stream ended with {text}"
            delay = max(self._backoff.next(), min(ended.retry_after, MOST_RETRY_AFTER))
            self._note(
                logging.WARNING,
                f"disconnected, next try in {delay:.3f} s: {text}",
                "disconnected",
                code=ended.code.name,
                retry_ms=round(delay * 1000),
            )
            until = time.monotonic() + delay
            while time.monotonic() < until:
                yield Sleep(min(until, self._stale_at()))
                self._check_stale()

    def _begin_stream(self) -> pb.WatchRequest:
        request = pb.WatchRequest()
        request.CopyFrom(self._request)
        request.resume_token = self._assembler.resume_token
        self._assembler.begin_stream()
        self._reported = self._late_report = None
        return request

    def _follow_stream(self) -> Generator[Step, Arrival, Ended]:
        heard = time.monotonic()
        connected = False
        while True:
            silent_at = heard + self._stale_after
            arrived = yield Read(min(silent_at, self._stale_at()))
            if isinstance(arrived, Ended):
                return arrived
            if arrived is None:
                self._check_stale()
                if time.monotonic() >= silent_at:
                    # A server that hangs behind a proxy would hold the stream open for ever.
                    yield HangUp()
                    silence = f"the server sent nothing for {self._stale_after:g} s"
                    return Ended(grpc.StatusCode.UNAVAILABLE, silence)
                continue
            if not connected:
                connected = True
                self._note(logging.INFO, "connected", "connected")
                self._waiting_for = "the server has answered, but sent no whole version yet"
            heard = time.monotonic()
            try:
                self._take(arrived)
            except RefusedError as error:
                how = "over" if not self._assembler.resume_token else "again from what is held"
                self._note(logging.WARNING, f"starts {how}: {error}")
                yield HangUp()
                return Ended(error.code, str(error))

    def _take(self, message: pb.WatchResponse) -> None:
        self._last_heard = time.monotonic()
        self._may_report = True
        self._watch_id = message.watch_id or self._watch_id
        before = self.held
        completed = self._assembler.take(message)
        held = self.held
        event = message.WhichOneof("event")
        if completed is not None or event == "heartbeat":
            self._backoff.reset()
        elif event == "source_status":
            self._waiting_for = _status_text(message.source_status)
        if held is None:
            return
        if before is not held:
            self._note_change(held)
            is_new = before is None or before.view_digest != held.view_digest
            if is_new and not self.has_callback and self.disk is not None:
                self._save_due = held
        in_sync = message.in_sync and message.header.version != 0 and not message.more_fragments
        if completed is not None or in_sync:
            self._settled = True
            if self.stale:
                self.stale = False
                self._note(logging.INFO, f"fresh again, at version {held.version}", "fresh")

    def _note_change(self, held: Snapshot) -> None:
        if self._told is not None and self._told.view_digest == held.view_digest:
            # Only the header has moved on; or a change was taken back before anybody saw it.
            self._told, self._pending = held, None
        else:
            self._pending = Change(self._told, held)

    def _stale_at(self) -> float:
        known = self.stale or self.held is None
        return math.inf if known else self._last_heard + self._stale_after

    def _check_stale(self) -> None:
        if time.monotonic() >= self._stale_at():
            self._become_stale(f"nothing was heard for {self._stale_after:g} s")

    def _become_stale(self, why: str) -> None:
        self.stale = True
        self._note(logging.WARNING, f"stale: {why}", "stale")

    # What comes of them.

    def dispatch(self) -> Dispatch:
        """Tell the callback, report outcomes, write the disk copy: one after the other, until the watch is closed."""
        try:
            yield from self._dispatch_all()
        except Exception as error:
            self.fail(error)
            self._tell_end()

    def _dispatch_all(self) -> Dispatch:
        if self._first is not None and not self.closed:
            yield from self._tell(self._first)
            self._first = None
        while True:
            report = self._next_report()
            if report is not None:
                yield from self._send(report)
            elif self.has_callback and self._pending is not None and not self.closed:
                yield from self._tell(self._hand_out(self._pending))
            elif self._save_due is not None:
                yield from self._save(self._save_due)
            elif self.closed:
                return
            else:
                self._tell_end()  # after the last change
                yield Idle()

    def _tell_end(self) -> None:
        if self.error is not None and not self._end_told:
            self._end_told = True
            code = self.error.code.name
            self._note(logging.ERROR, f"ended: {code}: {self.error.details}", "ended", self._failure, code=code)

    def _tell(self, change: Change) -> Dispatch:
        failure = yield Tell(change)
        if failure is not None:
            reason = _text_of(failure)
            text = f"the callback rejected version {change.new.version}: {reason}"
            self._note(logging.WARNING, text, error=failure)
            self.decide(change.new, reason)
            return
        self.decide(change.new, None)
        if self.disk is not None and not change.from_cache:
            yield from self._save(change.new)

    def _save(self, snapshot: Snapshot) -> Dispatch:
        if self._save_due is snapshot:
            self._save_due = None
        failure = yield Save(snapshot)
        if failure is not None:
            self._note(logging.WARNING, f"the copy on disk cannot be written: {failure}")

    def _next_report(self) -> pb.ReportOutcomeRequest | None:
        if self.closed or not self._may_report:
            return None
        if self._late_report is not None:
            return self._late_report
        held, decision = self.held, self._decision
        if held is None or decision is None or decision[0] != held.view_digest:
            return None
        if self._reported == (held._watch_id, held.version):
            return None
        return self._report_of(held, decision[1])

    def _report_of(self, snapshot: Snapshot, rejected: str | None) -> pb.ReportOutcomeRequest | None:
        # A report belongs to the stream that delivered the version, and is forgotten with it.
        if not self._watch_id or snapshot._watch_id != self._watch_id:
            return None
        return pb.ReportOutcomeRequest(
            watch_id=self._watch_id,
            version=snapshot.version,
            outcome=pb.OUTCOME_APPLIED if rejected is None else pb.OUTCOME_REJECTED,
            reason=rejected or "",
        )

    def _send(self, request: pb.ReportOutcomeRequest) -> Dispatch:
        decision = self._decision
        self._may_report = False  # again with the next message, which may come before this ends
        failure = yield Report(request)
        if failure is None:
            self._may_report = True
        if failure is not None and not self.closed:
            text = f"the report on version {request.version} failed, and is tried again: {failure}"
            self._note(logging.WARNING, text)
        elif request is self._late_report:
            self._late_report = None
        elif decision is self._decision:
            self._reported = (request.watch_id, request.version)

    def _note(
        self,
        level: int,
        text: str,
        event: str | None = None,
        error: BaseException | None = None,
        **fields: object,
    ) -> None:
        fields = {"event": event, "source": self.source, **fields}
        self._notes.append(Note(level, _CONTROL.sub(_escaped, f"{self.source}: {text}"), fields, error))


def _escaped(found: re.Match[str]) -> str:
    return f"\\x{ord(found[0]):02x}"


def _text_of(failure: BaseException) -> str:
    """Return what an exception says, whatever its `__str__` does."""
    try:
        return str(failure) or type(failure).__name__
    except Exception:
        return type(failure).__name__


def _status_text(status: pb.SourceStatus) -> str:
    known = pb.SourceState.DESCRIPTOR.values_by_number.get(status.state)
    state = known.name[len("SOURCE_STATE_") :] if known else f"in state {status.state}"
    problems = "".join(f"; {v.path}: {v.message}" for v in status.violations[:1])
    return f"the source is {state}{problems}"
