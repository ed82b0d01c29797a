"""The promises of docs/clients.md, for both clients, against a scripted server."""

from __future__ import annotations

import asyncio
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from confstream.v1 import config_service_pb2 as pb
from confstream_client import Change, Client, WaitTimeout, WatchClosed, WatchEnded, aio
from confstream_client._assembler import Assembler
from confstream_client._disk import DiskCopy
from conftest import eventually
from scripted_server import (
    TIMEOUT,
    Files,
    ScriptedServer,
    delta,
    fragments,
    header,
    heartbeat,
    snapshot,
    view_digest,
)
from subjects import Subject, Watch

ONE: Files = {"a.txt": b"one", "b/c.txt": b"same"}
TWO: Files = {"a.txt": b"two", "b/c.txt": b"same"}
CODE = grpc.StatusCode


class Changes:
    """A callback that keeps what it got, and does as it is told."""

    def __init__(self) -> None:
        self.got: queue.Queue[Change] = queue.Queue()
        self.release = threading.Event()  # the callback waits for it
        self.release.set()
        self.error: BaseException | None = None

    def __call__(self, change: Change) -> None:
        self.got.put(change)
        assert self.release.wait(TIMEOUT)
        if self.error is not None:
            raise self.error

    def next(self) -> Change:
        return self.got.get(timeout=TIMEOUT)


def contents(change: Change) -> Files:
    return {path: file.content for path, file in change.new.items()}


def events(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, object]]:
    found = [getattr(record, "confstream", {}) for record in caplog.records]
    return [fields for fields in found if fields.get("event") == event]


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="confstream_client")


# 1 First state


def test_wait_returns_the_first_content(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch(globs=["**", "no*"], labels={"pod": "p"}, client_id="me", heartbeat=1.5)
    stream = server.next_stream()
    request = stream.request
    assert (request.source, list(request.path_globs), request.resume_token) == (
        "demo",
        ["**", "no*"],
        "",
    )
    assert (request.client_id, dict(request.labels), request.mode) == ("me", {"pod": "p"}, 2)
    assert request.heartbeat_interval.ToMilliseconds() == 1500
    assert watch.current() is None
    message = snapshot(7, ONE)
    message.snapshot.missing_globs.append("no*")
    stream.send(message)
    got = watch.wait(TIMEOUT)
    assert (got.version, got.epoch, got.source) == (7, "e1", "demo")
    assert {path: file.text() for path, file in got.items()} == {"a.txt": "one", "b/c.txt": "same"}
    assert (got.view_digest, got.missing_globs) == (view_digest(ONE), ("no*",))
    assert not watch.stale
    assert watch.current() is got


def test_wait_says_what_kept_it_waiting(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    status = pb.SourceStatus(state=pb.SOURCE_STATE_WAITING)
    status.violations.add(path="a.yaml", message="is no YAML")
    stream.send(pb.WatchResponse(header=header(0), source_status=status))
    with pytest.raises(WaitTimeout, match=r"WAITING; a\.yaml: is no YAML") as raised:
        watch.wait(0.5)
    assert isinstance(raised.value, TimeoutError)


# 3 Changes


def test_changes_come_in_order_with_old_and_new(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    first = next(watch)
    assert (first.old, first.new.version, first.from_cache) == (None, 1, False)
    stream.send(delta(2, 1, ONE, TWO))
    second = next(watch)
    assert second.old is first.new
    assert contents(second) == TWO


def test_who_is_slow_misses_versions_but_not_the_newest(client: Subject, server: ScriptedServer) -> None:
    changes = Changes()
    changes.release.clear()
    watch = client.watch(on_change=changes)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert changes.next().new.version == 1
    for version in range(2, 51):
        stream.send(snapshot(version, {"a.txt": b"%d" % version}))
    eventually(lambda: (held := watch.current()) is not None and held.version == 50, "version 50")
    changes.release.set()
    change = changes.next()
    assert (change.old and change.old.version, change.new.version) == (1, 50)
    assert server.next_report().version == 1
    assert server.next_report().version == 50
    assert changes.got.empty()


def test_equal_content_moves_the_header_only(client: Subject, server: ScriptedServer) -> None:
    changes = Changes()
    watch = client.watch(on_change=changes)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert changes.next().new.version == 1
    assert server.next_report().version == 1
    stream.send(snapshot(2, ONE))
    assert server.next_report().version == 2
    stream.send(heartbeat(3))
    assert server.next_report().version == 3
    held = watch.current()
    assert held is not None
    assert held.version == 3
    stream.send(snapshot(4, TWO))
    change = changes.next()
    assert (change.old and change.old.version, change.new.version) == (3, 4)


def test_a_change_that_was_taken_back_unseen_is_none(client: Subject, server: ScriptedServer) -> None:
    changes = Changes()
    changes.release.clear()
    watch = client.watch(on_change=changes)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert changes.next().new.version == 1
    stream.send(snapshot(2, TWO), snapshot(3, ONE))
    eventually(lambda: (held := watch.current()) is not None and held.version == 3, "version 3")
    changes.release.set()
    report = server.next_report()
    assert (report.version, report.outcome) == (3, pb.OUTCOME_APPLIED)
    assert changes.got.empty()


def test_content_that_comes_back_is_reported_once_the_callback_had_it(client: Subject, server: ScriptedServer) -> None:
    told: queue.Queue[Change] = queue.Queue()
    permits = threading.Semaphore(1)

    def on_change(change: Change) -> None:
        told.put(change)
        assert permits.acquire(timeout=TIMEOUT)

    watch = client.watch(on_change=on_change)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert server.next_report().version == 1
    stream.send(snapshot(2, TWO))
    assert [told.get(timeout=TIMEOUT).new.version for _ in range(2)] == [1, 2]
    stream.send(snapshot(3, ONE))
    eventually(lambda: (held := watch.current()) is not None and held.version == 3, "version 3")
    permits.release()
    assert told.get(timeout=TIMEOUT).new.version == 3
    assert server.next_report().version == 2
    time.sleep(0.2)
    assert server.reports.empty()
    permits.release()
    assert server.next_report().version == 3


def test_iterating_beside_a_callback_is_refused(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch(on_change=Changes())
    with pytest.raises(TypeError, match="callback"):
        iter(watch)


# 4 Reconnect, 5 Resume


@pytest.mark.parametrize("code", [CODE.OK, CODE.CANCELLED, CODE.UNAVAILABLE, CODE.INTERNAL], ids=str)
def test_a_stream_that_ends_unasked_is_resumed(
    client: Subject, server: ScriptedServer, code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE), heartbeat(2))
    assert next(watch).new["a.txt"].content == b"one"
    eventually(lambda: (held := watch.current()) is not None and held.version == 2, "version 2")
    stream.end(code, "why not")
    resumed = server.next_stream()
    assert resumed.request.resume_token == "e1/2"
    told = grpc.StatusCode.UNAVAILABLE if code is grpc.StatusCode.OK else code
    assert events(caplog, "disconnected")[0]["code"] == told.name
    resumed.send(heartbeat(2), delta(3, 2, ONE, TWO))
    assert contents(next(watch)) == TWO
    assert watch.error is None


@pytest.mark.parametrize(
    "code",
    [
        CODE.NOT_FOUND,
        CODE.INVALID_ARGUMENT,
        CODE.OUT_OF_RANGE,
        CODE.FAILED_PRECONDITION,
        CODE.PERMISSION_DENIED,
        CODE.UNAUTHENTICATED,
        CODE.UNIMPLEMENTED,
    ],
    ids=str,
)
def test_a_status_that_comes_back_ends_the_watch(
    client: Subject, server: ScriptedServer, code: grpc.StatusCode, caplog: pytest.LogCaptureFixture
) -> None:
    watch = client.watch()
    server.next_stream().end(code, "no such thing")
    with pytest.raises(WatchEnded, match="no such thing") as raised:
        watch.wait(TIMEOUT)
    assert raised.value.code is code
    with pytest.raises(WatchEnded):
        next(watch)
    assert watch.error is not None
    assert server.no_stream(0.3)
    eventually(lambda: len(events(caplog, "ended")) == 1, "the log")


def test_what_is_held_at_the_end_stays_and_is_told(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    stream.end(CODE.NOT_FOUND, "removed")
    eventually(lambda: watch.error is not None, "the end")
    assert next(watch).new.version == 1
    with pytest.raises(WatchEnded):
        next(watch)
    assert watch.wait(0) is watch.current()


def test_the_server_says_when_to_come_back(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    began = time.monotonic()
    server.next_stream().end(CODE.UNAVAILABLE, "draining", retry_after=0.7)
    server.next_stream().send(snapshot(1, ONE))
    assert watch.wait(TIMEOUT).version == 1
    assert 0.7 <= time.monotonic() - began < 2


def test_a_server_that_comes_late_is_found(connect: Callable[[str], Subject], tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/late"
    watch = connect(address).watch()
    with pytest.raises(WaitTimeout, match="UNAVAILABLE"):
        watch.wait(1)
    server = ScriptedServer(address)
    try:
        server.next_stream().send(snapshot(1, ONE))
        assert watch.wait(TIMEOUT).version == 1
    finally:
        server.stop()


# 6 Stale


def test_silence_makes_the_copy_stale_and_the_stream_is_resumed(
    client: Subject, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    watch = client.watch(heartbeat=1)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    watch.wait(TIMEOUT)
    began = time.monotonic()
    resumed = server.next_stream()
    assert 2.9 < time.monotonic() - began < 4.5
    assert stream.over.wait(TIMEOUT)
    assert resumed.request.resume_token == "e1/1"
    assert watch.stale
    resumed.send(pb.WatchResponse(header=header(1), source_status=pb.SourceStatus()))
    time.sleep(0.2)
    assert watch.stale  # heard, but not settled
    assert len(events(caplog, "stale")) == 1
    assert not events(caplog, "fresh")
    resumed.send(heartbeat(1))
    eventually(lambda: not watch.stale, "fresh")
    eventually(lambda: len(events(caplog, "fresh")) == 1, "the log")
    held = watch.current()
    assert held is not None
    assert held.version == 1


# 7 Checked


def test_a_wrong_digest_starts_over_without_a_token(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert next(watch).new.version == 1
    lie = snapshot(2, TWO)
    lie.snapshot.view_digest = view_digest(ONE | {"x": b""})
    stream.send(lie)
    again = server.next_stream()
    assert again.request.resume_token == ""
    assert stream.over.wait(TIMEOUT)
    held = watch.current()
    assert held is not None
    assert held.version == 1
    again.send(snapshot(3, TWO))
    assert contents(next(watch)) == TWO


def test_fragments_take_effect_with_the_last(client: Subject, server: ScriptedServer) -> None:
    files = {"a": bytes(range(256)) * 4096, "empty": b"", "z": b"z" * 100_000}
    watch = client.watch()
    stream = server.next_stream()
    *most, last = fragments(snapshot(1, files), 300_000)
    stream.send(*most)
    with pytest.raises(WaitTimeout):
        watch.wait(0.5)
    stream.send(last)
    assert {path: file.content for path, file in watch.wait(TIMEOUT).items()} == files


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\x03\x0a\x01\xff"], ids=["wire", "utf8"])
def test_what_is_no_message_ends_the_stream_which_is_resumed(
    client: Subject,
    server: ScriptedServer,
    data: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)  # the backoff
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert next(watch).new.version == 1
    stream.send_raw(data)
    assert stream.over.wait(TIMEOUT)
    assert server.no_stream(0.2)  # yet
    again = server.next_stream()
    assert again.request.resume_token == "e1/1"
    assert events(caplog, "disconnected")[0]["code"] == "INTERNAL"
    again.send(heartbeat(1), delta(2, 1, ONE, TWO))
    assert contents(next(watch)) == TWO


def test_fragments_of_a_stream_that_broke_are_forgotten(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(fragments(snapshot(1, ONE), 2)[0])
    stream.end(CODE.UNAVAILABLE)
    again = server.next_stream()
    assert again.request.resume_token == ""
    again.send(snapshot(1, ONE))
    assert watch.wait(TIMEOUT).version == 1


# 8 Unknown


def test_what_is_not_known_is_ignored_but_for_the_header(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    known = snapshot(1, ONE)
    known.MergeFromString(b"\xfa\x3e\x03new")  # field 1007
    known.reason = 77  # type: ignore[assignment]
    future = pb.WatchResponse(header=header(2), in_sync=True)
    future.MergeFromString(b"\xaa\x3e\x03new")  # field 997, an event of the future
    stream.send(known, future)
    eventually(lambda: (held := watch.current()) is not None and held.version == 2, "version 2")
    stream.end(CODE.UNAVAILABLE)
    assert server.next_stream().request.resume_token == "e1/2"


# 9 Outcome


def test_an_exception_without_a_text_rejects_too(client: Subject, server: ScriptedServer) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def on_change(change: Change) -> None:
        raise MuteError

    client.watch(on_change=on_change)
    server.next_stream().send(snapshot(1, ONE), snapshot(2, TWO))
    assert server.next_report().reason == "MuteError"


def test_a_callback_that_fails_rejects_with_its_text(client: Subject, server: ScriptedServer) -> None:
    changes = Changes()
    changes.error = ValueError("no port " + "\N{SNOWMAN}" * 1000)
    client.watch(on_change=changes)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    report = server.next_report()
    assert (report.watch_id, report.version, report.outcome) == (
        stream.watch_id,
        1,
        pb.OUTCOME_REJECTED,
    )
    assert report.reason.startswith("no port \N{SNOWMAN}")
    assert 1020 < len(report.reason.encode()) <= 1024
    changes.error = None
    stream.send(snapshot(2, TWO))
    report = server.next_report()
    assert (report.version, report.outcome, report.reason) == (2, pb.OUTCOME_APPLIED, "")


def test_without_a_callback_the_program_reports(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    held = watch.wait(TIMEOUT)
    time.sleep(0.2)
    assert server.reports.empty()
    watch.report(held, rejected="bad")
    report = server.next_report()
    assert (report.version, report.outcome, report.reason) == (1, pb.OUTCOME_REJECTED, "bad")
    watch.report(held)
    assert server.next_report().outcome == pb.OUTCOME_APPLIED


def test_a_report_that_failed_is_tried_again_with_the_next_message(client: Subject, server: ScriptedServer) -> None:
    server.report_code = CODE.UNAVAILABLE
    client.watch(on_change=Changes())
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert server.next_report().version == 1
    time.sleep(0.3)
    assert server.reports.empty()
    server.report_code = CODE.OK
    stream.send(heartbeat(1))
    assert server.next_report().version == 1
    stream.send(heartbeat(1))
    time.sleep(0.3)
    assert server.reports.empty()


def test_what_is_held_is_reported_to_the_next_stream(client: Subject, server: ScriptedServer) -> None:
    client.watch(on_change=Changes())
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert server.next_report().watch_id == "stream-1"
    stream.end(CODE.UNAVAILABLE)
    server.next_stream().send(heartbeat(4, epoch="e2"))
    report = server.next_report()
    assert (report.watch_id, report.version) == ("stream-2", 4)


# 10 Disk copy


def cached(directory: Path, client: Subject, server: ScriptedServer, files: Files) -> None:
    watch = client.watch(cache_dir=directory)
    server.next_stream().send(snapshot(1, files))
    watch.wait(TIMEOUT)
    eventually(lambda: bool(list(directory.glob("*.snapshot"))), "the copy")
    watch.close()


def test_the_copy_on_disk_is_held_until_the_server_settles_it(
    client: Subject, server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached(tmp_path / "cache", client, server, ONE)
    caplog.clear()
    changes = Changes()
    watch = client.watch(cache_dir=tmp_path / "cache", on_change=changes)
    held = watch.current()
    assert held is not None
    assert (held.version, watch.stale) == (1, True)
    change = changes.next()
    assert (change.from_cache, change.old, contents(change)) == (True, None, ONE)
    stream = server.next_stream()
    assert stream.request.resume_token == "e1/1"
    assert watch.wait(0.2).version == 1
    assert watch.stale
    stream.send(heartbeat(1))
    eventually(lambda: not watch.stale, "fresh")
    assert watch.wait(0).version == 1
    report = server.next_report()
    assert (report.version, report.outcome) == (1, pb.OUTCOME_APPLIED)
    assert changes.got.empty()
    assert len(events(caplog, "stale")) == len(events(caplog, "fresh")) == 1


def test_however_short_a_wait_in_asyncio_is_it_finds_the_copy(server: ScriptedServer, tmp_path: Path) -> None:
    copy = Assembler().take(snapshot(1, ONE))
    assert copy is not None
    DiskCopy(tmp_path, "demo", [], 1 << 20).save(copy)

    async def program() -> None:
        async with aio.Client(server.address) as client:
            watch = client.watch("demo", cache_dir=tmp_path)
            assert (await watch.wait(0)).version == 1
            assert watch.stale

    asyncio.run(program())


def test_the_first_change_from_disk_is_not_missed(client: Subject, server: ScriptedServer, tmp_path: Path) -> None:
    cached(tmp_path, client, server, ONE)
    changes = Changes()
    changes.release.clear()
    watch = client.watch(cache_dir=tmp_path, on_change=changes)
    server.next_stream().send(snapshot(2, TWO))
    assert watch.wait(TIMEOUT).version == 2
    changes.release.set()
    assert changes.next().from_cache
    change = changes.next()
    assert (change.old and change.old.version, change.new.version, change.from_cache) == (
        1,
        2,
        False,
    )


def test_a_rejected_version_is_not_kept_on_disk(client: Subject, server: ScriptedServer, tmp_path: Path) -> None:
    changes = Changes()
    watch = client.watch(cache_dir=tmp_path, on_change=changes)
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    assert server.next_report().outcome == pb.OUTCOME_APPLIED
    changes.error = ValueError("no")
    stream.send(snapshot(2, TWO))
    assert server.next_report().outcome == pb.OUTCOME_REJECTED
    watch.close()
    [copy] = tmp_path.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    assert pb.WatchResponse.FromString(copy.read_bytes()).header.version == 1


def test_a_damaged_copy_is_left_alone(
    client: Subject, server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cached(tmp_path, client, server, ONE)
    [copy] = tmp_path.iterdir()
    damaged = copy.read_bytes().replace(b"one", b"eno")
    copy.write_bytes(damaged)
    watch = client.watch(cache_dir=tmp_path)
    assert (watch.current(), watch.stale) == (None, False)
    assert server.next_stream().request.resume_token == ""
    assert copy.read_bytes() == damaged
    assert "does not count" in caplog.text


def test_a_cache_that_cannot_be_written_is_logged(
    client: Subject, server: ScriptedServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    watch = client.watch(cache_dir=tmp_path / "file" / "cache")
    server.next_stream().send(snapshot(1, ONE))
    assert watch.wait(TIMEOUT).version == 1
    eventually(lambda: "cannot be written" in caplog.text, "the log")


# 11 Bounds


def test_a_version_that_is_too_large_is_refused(
    client: Subject, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    watch = client.watch(max_bytes=10)
    stream = server.next_stream()
    stream.send(snapshot(1, {"a": b"0123456789"}))
    assert watch.wait(TIMEOUT).version == 1
    stream.send(fragments(snapshot(2, {"a": b"01234567890"}), 1)[0])
    again = server.next_stream()
    assert again.request.resume_token == "e1/1"
    assert stream.over.wait(TIMEOUT)
    assert events(caplog, "disconnected")[0]["code"] == "RESOURCE_EXHAUSTED"
    again.send(snapshot(3, {"a": b"short"}))
    eventually(lambda: (held := watch.current()) is not None and held.version == 3, "version 3")


def test_a_message_may_have_64_mib(client: Subject, server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    watch = client.watch()
    message = snapshot(1, {"a": bytes(64 << 20)})
    server.next_stream().send(message)
    again = server.next_stream()
    assert events(caplog, "disconnected")[0]["code"] == "RESOURCE_EXHAUSTED"
    content = bytes((128 << 20) - message.ByteSize())
    message = snapshot(1, {"a": content})
    message.watch_id = "stream-2"
    assert message.ByteSize() == 64 << 20
    again.send(message)
    assert len(watch.wait(TIMEOUT)["a"].content) == len(content)


def test_a_program_may_have_its_own_limit_of_a_message(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(server.address, channel_options=[("grpc.max_receive_message_length", 1000)]) as client:
        client.watch("demo")
        server.next_stream().send(snapshot(1, {"a": bytes(1001)}))
        server.next_stream()
        assert events(caplog, "disconnected")[0]["code"] == "RESOURCE_EXHAUSTED"


# 12 End


def test_close_ends_the_stream_and_leaves_current(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    stream = server.next_stream()
    stream.send(snapshot(1, ONE))
    held = watch.wait(TIMEOUT)
    watch.close()
    watch.close()
    assert stream.over.wait(TIMEOUT)
    assert watch.current() is held
    assert list(watch) == []
    assert server.no_stream(0.3)


def test_close_wakes_those_who_wait(client: Subject, server: ScriptedServer) -> None:
    watch = client.watch()
    server.next_stream()
    raised: queue.Queue[BaseException] = queue.Queue()

    def wait() -> None:
        try:
            watch.wait()
        except WatchClosed as error:
            raised.put(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    watch.close()
    assert raised.get(timeout=TIMEOUT)
    waiting.join()


def test_close_waits_for_the_callback(client: Subject, server: ScriptedServer, tmp_path: Path) -> None:
    changes = Changes()
    changes.release.clear()
    watch = client.watch(on_change=changes, cache_dir=tmp_path)
    server.next_stream().send(snapshot(1, ONE))
    changes.next()
    closing = threading.Thread(target=watch.close)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    changes.release.set()
    closing.join(TIMEOUT)
    assert not closing.is_alive()
    assert list(tmp_path.glob("*.snapshot"))  # it was applied


def test_close_within_a_backoff_does_not_wait_for_it(
    client: Subject, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    watch = client.watch()
    server.next_stream().end(CODE.UNAVAILABLE, "", retry_after=30)
    eventually(lambda: bool(events(caplog, "disconnected")), "the backoff")
    began = time.monotonic()
    watch.close()
    assert time.monotonic() - began < 2


def test_closing_the_client_closes_its_watches(client: Subject, server: ScriptedServer) -> None:
    watches: list[Watch] = [client.watch() for _ in range(3)]
    streams = [server.next_stream() for _ in watches]
    for watch in watches:
        watch.close()
    for stream in streams:
        assert stream.over.wait(TIMEOUT)
