"""When a watch does what: with a clock that the test moves."""

from __future__ import annotations

import math
import random

import grpc
import pytest

from confstream.v1 import config_service_pb2 as pb
from confstream_client import _core
from confstream_client._core import Ended, HangUp, Open, Read, Sleep, Step, WatchCore, next_of
from confstream_client._options import WatchOptions
from scripted_server import header, heartbeat, snapshot

LOST = Ended(grpc.StatusCode.UNAVAILABLE, "gone")


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


class Followed:
    """The core of a watch with a heartbeat of 10 s, and its steps."""

    def __init__(self, clock: Clock) -> None:
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
        self.core = WatchCore(options, has_callback=False)
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
