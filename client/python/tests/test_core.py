"""When a watch does what: with a clock that the test moves."""

from __future__ import annotations

import math
import random

import grpc
import pytest

from confstream.v1 import config_service_pb2 as pb
from confstream_client import _core
from confstream_client._core import (
    Ended,
    HangUp,
    Idle,
    Job,
    Open,
    Read,
    Report,
    Sleep,
    Step,
    Tell,
    WatchCore,
    next_of,
)
from confstream_client._options import WatchOptions
from scripted_server import header, heartbeat, snapshot

LOST = Ended(grpc.StatusCode.UNAVAILABLE, "gone")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


class Followed:
    """The core of a watch with a heartbeat of 10 s, and its steps."""

    def __init__(self, clock: Clock, has_callback: bool = False) -> None:
        options = WatchOptions.of(
            source="demo",
            globs=(),
            mode="delta",
            heartbeat=10,
            min_update_interval=None,
            client_id=None,
            labels=None,
            cache_dir=None,
            max_bytes=1 << 20,
        )
        self.clock = clock
        self.core = WatchCore(options, has_callback)
        self._steps = self.core.follow()
        self.step = next_of(self._steps, None)

    def answer(self, arrived: pb.WatchResponse | Ended | None = None) -> Step | None:
        self.step = next_of(self._steps, arrived)
        return self.step

    def lose(self) -> float:
        """Loses the stream that is being opened or read; returns for how long the watch waits then."""
        if isinstance(self.step, Open):
            self.answer()
        began = self.clock.now
        step = self.answer(LOST)
        while isinstance(step, Sleep):
            self.clock.now = step.until
            step = self.answer()
        assert isinstance(step, Open)
        return self.clock.now - began

    def events(self) -> list[object]:
        return [note.fields["event"] for note in self.core.take_notes()]


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Followed:
    return Followed(Clock(monkeypatch))


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The backoff waits as long as it may."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)


@pytest.mark.usefixtures("longest")
def test_the_bound_of_the_backoff_doubles_up_to_ten_seconds(followed: Followed) -> None:
    delays = [followed.lose() for _ in range(9)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10])


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize("worked", [snapshot(1, {}), heartbeat(0, in_sync=False)], ids=["content", "heartbeat"])
def test_the_backoff_starts_over_when_something_came(followed: Followed, worked: pb.WatchResponse) -> None:
    for _ in range(5):
        followed.lose()
    followed.answer()
    followed.answer(worked)
    assert followed.lose() == pytest.approx(0.1)


@pytest.mark.usefixtures("longest")
def test_a_stream_that_only_opens_does_not_start_the_backoff_over(followed: Followed) -> None:
    for _ in range(5):
        followed.lose()
    followed.answer()
    followed.answer(pb.WatchResponse(header=header(0), source_status=pb.SourceStatus()))
    assert followed.lose() == pytest.approx(3.2)


def test_the_backoff_is_spread_over_all_of_its_bound(followed: Followed) -> None:
    for _ in range(7):
        followed.lose()
    delays = [followed.lose() for _ in range(300)]
    assert min(delays) < 1
    assert max(delays) > 9
    assert 4 < sum(delays) / len(delays) < 6


@pytest.mark.usefixtures("longest")
@pytest.mark.parametrize(("asked", "waits"), [(0.05, 0.1), (5, 5), (3600, 60)])
def test_the_server_may_ask_for_a_longer_wait_up_to_a_minute(followed: Followed, asked: float, waits: float) -> None:
    followed.answer()
    step = followed.answer(Ended(grpc.StatusCode.UNAVAILABLE, "draining", asked))
    assert isinstance(step, Sleep)
    assert step.until - followed.clock.now == pytest.approx(waits)


def test_three_heartbeats_of_silence_end_the_stream_and_make_the_copy_stale(
    followed: Followed,
) -> None:
    followed.answer()
    step = followed.answer(snapshot(1, {}))
    assert isinstance(step, Read)
    assert step.until == followed.clock.now + 30
    followed.clock.now += 29.9
    assert isinstance(followed.answer(), Read)
    assert not followed.core.stale
    followed.clock.now += 0.1
    assert isinstance(followed.answer(), HangUp)
    assert followed.core.stale
    assert isinstance(followed.answer(), Sleep)
    assert followed.events() == ["connected", "stale", "disconnected"]


@pytest.mark.usefixtures("longest")
def test_a_copy_becomes_stale_once_while_the_server_is_away(followed: Followed) -> None:
    followed.answer()
    followed.answer(snapshot(1, {}))
    began, stale_at = followed.clock.now, 0.0
    while followed.clock.now < began + 200:
        followed.lose()
        if followed.core.stale and not stale_at:
            stale_at = followed.clock.now
    assert followed.events().count("stale") == 1
    assert 30 <= stale_at - began <= 40
    followed.answer()
    followed.answer(heartbeat(1))
    assert not followed.core.stale
    assert followed.events().count("fresh") == 1


def test_the_copy_becomes_stale_within_a_long_wait(followed: Followed) -> None:
    followed.answer()
    followed.answer(snapshot(1, {}))
    began = followed.clock.now
    step = followed.answer(Ended(grpc.StatusCode.UNAVAILABLE, "", 60))
    assert isinstance(step, Sleep)
    assert step.until == began + 30
    followed.clock.now = step.until
    step = followed.answer()
    assert followed.core.stale
    assert isinstance(step, Sleep)
    assert step.until == began + 60


def test_without_a_copy_nothing_is_stale(followed: Followed) -> None:
    followed.answer()
    followed.clock.now += 30
    assert isinstance(followed.answer(), HangUp)
    assert not followed.core.stale
    assert followed.core._stale_at() == math.inf


def test_an_error_of_the_client_itself_is_not_silent(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.answer()
    monkeypatch.setattr(_core.WatchCore, "_take", lambda self, message: 1 / 0)
    assert followed.answer(snapshot(1, {})) is None
    assert followed.core.error is not None
    assert followed.core.error.code is grpc.StatusCode.INTERNAL
    next(followed.core.dispatch())
    [*_, note] = followed.core.take_notes()
    assert isinstance(note.error, ZeroDivisionError)


def test_an_error_in_what_comes_of_the_streams_is_not_silent(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.answer()
    followed.answer(snapshot(1, {}))
    monkeypatch.setattr(_core.WatchCore, "_next_report", lambda self: 1 / 0)
    assert next_of(followed.core.dispatch(), None) is None
    assert followed.core.error is not None
    assert followed.core.error.code is grpc.StatusCode.INTERNAL
    [*_, note] = followed.core.take_notes()
    assert (note.fields["event"], type(note.error)) == ("ended", ZeroDivisionError)


def test_a_stream_that_cannot_be_opened_is_tried_again(followed: Followed) -> None:
    assert isinstance(followed.step, Open)
    step = followed.answer(LOST)
    while isinstance(step, Sleep):
        followed.clock.now = step.until
        step = followed.answer()
    assert isinstance(step, Open)
    assert followed.events() == ["disconnected"]


# What is reported when contents come back. A and B are contents, and v1 to v4 versions.

A, B = {"a": b"A"}, {"a": b"B"}


class Dispatched(Followed):
    """A watch with a callback, and what comes of its streams."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock, has_callback=True)
        self._jobs = self.core.dispatch()
        self._version = 0
        self.answer()

    def receive(self, files: dict[str, bytes]) -> None:
        self._version += 1
        message = snapshot(self._version, files)
        message.watch_id = "stream-1" if self._version == 1 else ""
        self.answer(message)

    def next_job(self) -> str:
        """Ends the job before, and returns what the next one is."""
        job: Job | None = next_of(self._jobs, None)
        if isinstance(job, Tell):
            return f"tell v{job.change.new.version}"
        if isinstance(job, Report):
            return f"report v{job.request.version}"
        assert isinstance(job, Idle)
        return "idle"


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> Dispatched:
    dispatched = Dispatched(Clock(monkeypatch))
    dispatched.receive(A)
    assert [dispatched.next_job() for _ in range(3)] == ["tell v1", "report v1", "idle"]
    return dispatched


def test_content_that_comes_back_is_reported_once_it_was_told(dispatched: Dispatched) -> None:
    dispatched.receive(B)
    assert dispatched.next_job() == "tell v2"
    dispatched.receive(A)
    assert [dispatched.next_job() for _ in range(4)] == ["report v2", "tell v3", "report v3", "idle"]


def test_content_that_comes_back_before_anything_else_was_told_is_reported(dispatched: Dispatched) -> None:
    dispatched.receive(B)
    dispatched.receive(A)
    assert [dispatched.next_job() for _ in range(2)] == ["report v3", "idle"]


def test_content_that_comes_back_while_it_is_told_is_reported(dispatched: Dispatched) -> None:
    dispatched.receive(B)
    assert dispatched.next_job() == "tell v2"
    dispatched.receive(A)
    dispatched.receive(B)
    assert [dispatched.next_job() for _ in range(2)] == ["report v4", "idle"]


def test_content_that_comes_back_after_it_was_told_is_reported(dispatched: Dispatched) -> None:
    dispatched.receive(B)
    assert dispatched.next_job() == "tell v2"
    dispatched.receive(A)
    assert dispatched.next_job() == "report v2"
    dispatched.receive(B)
    assert [dispatched.next_job() for _ in range(2)] == ["report v4", "idle"]


def test_what_became_of_content_that_came_back_is_told_to_the_next_stream(dispatched: Dispatched) -> None:
    dispatched.receive(B)
    assert dispatched.next_job() == "tell v2"
    dispatched.receive(A)
    assert [dispatched.next_job() for _ in range(4)] == ["report v2", "tell v3", "report v3", "idle"]
    dispatched.lose()
    dispatched.answer()
    message = heartbeat(3)
    message.watch_id = "stream-2"
    dispatched.answer(message)
    assert [dispatched.next_job() for _ in range(2)] == ["report v3", "idle"]


def test_without_a_callback_content_that_comes_back_is_for_the_program_to_report_anew(followed: Followed) -> None:
    followed.answer()
    jobs = followed.core.dispatch()
    for version, files in ((1, A), (2, B), (3, A)):
        message = snapshot(version, files)
        message.watch_id = "stream-1" if version == 1 else ""
        followed.answer(message)
        change = followed.core.next_change()
        assert change is not None
        assert change.new.version == version
        assert isinstance(next_of(jobs, None), Idle)
        if version == 1:
            followed.core.decide(change.new, None)
            assert isinstance(next_of(jobs, None), Report)
            assert isinstance(next_of(jobs, None), Idle)


def test_what_was_reported_before_it_was_handed_out_stays_so(followed: Followed) -> None:
    followed.answer()
    message = snapshot(1, A)
    message.watch_id = "stream-1"
    followed.answer(message)
    held = followed.core.held
    assert held is not None
    followed.core.decide(held, None)
    change = followed.core.next_change()
    assert change is not None
    assert isinstance(next_of(followed.core.dispatch(), None), Report)
