"""What is believed of a stream, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest

from confstream.v1 import config_service_pb2 as pb
from confstream_client import _assembler
from confstream_client._assembler import Assembler, RefusedError
from confstream_client.snapshot import Snapshot
from scripted_server import (
    Files,
    delta,
    digest,
    fragments,
    header,
    heartbeat,
    snapshot,
    view_digest,
)

ONE: Files = {"a": b"one", "b": b"same", "c": b"old"}
TWO: Files = {"a": b"two", "b": b"same", "d": b"new"}


def contents(held: Snapshot | None) -> Files:
    assert held is not None
    return {path: file.content for path, file in held.items()}


def holding(files: Files, version: int = 1) -> Assembler:
    assembler = Assembler()
    assembler.begin_stream()
    assembler.take(snapshot(version, files))
    return assembler


def refused(assembler: Assembler, *messages: pb.WatchResponse) -> str:
    """Takes messages, of which the last is refused; returns why."""
    *most, last = messages
    for message in most:
        assert assembler.take(message) is None
    with pytest.raises(RefusedError) as raised:
        assembler.take(last)
    assert raised.value.code is grpc.StatusCode.DATA_LOSS
    assert assembler.resume_token == ""
    return str(raised.value)


def test_a_delta_changes_adds_and_removes() -> None:
    assembler = holding(ONE)
    kept = assembler.held
    made = assembler.take(delta(2, 1, ONE, TWO))
    assert contents(made) == TWO
    assert made is not None
    assert list(made) == sorted(TWO)
    assert kept is not None
    assert made["b"] is kept["b"]  # not held twice
    assert assembler.resume_token == "e1/2"


def test_a_delta_in_fragments() -> None:
    assembler = holding(ONE)
    whole = delta(2, 1, ONE, TWO)
    first, second = pb.WatchResponse(), pb.WatchResponse()
    first.CopyFrom(whole)
    second.CopyFrom(whole)
    first.more_fragments = True
    del first.delta.changed_files[1:], first.delta.removed_paths[:]
    del second.delta.changed_files[:1]
    assert assembler.take(first) is None
    assert contents(assembler.held) == ONE
    assert contents(assembler.take(second)) == TWO


def test_paths_are_in_the_order_of_their_bytes() -> None:
    files = {"\U0001f600": b"", "\uffee": b"", "\xe4": b"", "Z": b"", "a\\b": b""}
    made = Assembler().take(_escaped(files))
    assert made is not None
    assert list(made) == ["Z", "a\\b", "\xe4", "\uffee", "\U0001f600"]


def _escaped(files: Files) -> pb.WatchResponse:
    message = snapshot(1, files)
    empty = digest(b"")[7:]
    # What GNU sha256sum prints: a backslash in a name is doubled, and the line has one before it.
    lines = [f"{empty}  Z\n", f"\\{empty}  a\\\\b\n"]
    lines += [f"{empty}  {path}\n" for path in ("\xe4", "\uffee", "\U0001f600")]
    message.snapshot.view_digest = digest("".join(lines).encode())
    return message


def test_no_files_are_a_version_too() -> None:
    assembler = holding({})
    assert assembler.held
    assert contents(assembler.held) == {}
    assert contents(assembler.take(delta(2, 1, {}, ONE))) == ONE
    assert contents(assembler.take(delta(3, 2, ONE, {}))) == {}


def test_a_heartbeat_moves_header_and_token_on_but_only_of_what_is_held() -> None:
    assembler = Assembler()
    assembler.begin_stream()
    assembler.take(heartbeat(5, in_sync=False))
    assert (assembler.held, assembler.resume_token) == (None, "")
    assembler = holding(ONE)
    assembler.take(heartbeat(5, epoch="e2"))
    assert assembler.held is not None
    assert (assembler.held.version, assembler.held.epoch, assembler.resume_token) == (
        5,
        "e2",
        "e2/5",
    )


def test_the_header_of_a_status_before_the_first_content_counts_for_nothing() -> None:
    assembler = holding(ONE)
    assembler.begin_stream()
    assembler.take(pb.WatchResponse(header=header(0), source_status=pb.SourceStatus()))
    assert assembler.held is not None
    assert (assembler.held.version, assembler.resume_token) == (1, "e1/1")


def test_versions_of_another_epoch_may_begin_anew() -> None:
    assembler = holding(ONE, version=9)
    assert contents(assembler.take(snapshot(1, TWO, epoch="e2"))) == TWO


def test_versions_may_repeat_on_another_stream() -> None:
    assembler = holding(ONE, version=9)
    assembler.begin_stream()
    assert contents(assembler.take(snapshot(9, TWO))) == TWO


@pytest.mark.parametrize("version", [2, 3])
def test_versions_increase_on_a_stream(version: int) -> None:
    assert "came before it" in refused(holding(ONE, version=3), snapshot(version, TWO))


def test_in_sync_without_content_is_no_answer() -> None:
    assert "not sent" in refused(Assembler(), heartbeat(3))
    # Nor does what is held count, if the server was not told of it.
    assembler = holding(ONE)
    assembler.resume_token = ""
    assembler.begin_stream()
    assert "not sent" in refused(assembler, heartbeat(3))


@pytest.mark.parametrize("base", [0, 2, 4])
def test_a_delta_on_another_base(base: int) -> None:
    assert "not the one held" in refused(holding(ONE, version=3), delta(5, base, ONE, TWO))


def test_a_delta_on_nothing() -> None:
    assert "not the one held" in refused(Assembler(), delta(5, 0, {}, TWO))


def test_a_delta_after_a_start_without_a_token() -> None:
    assembler = holding(ONE)
    assembler.resume_token = ""
    assembler.begin_stream()
    assert "not the one held" in refused(assembler, delta(2, 1, ONE, TWO))


def test_removal_of_what_is_not_there() -> None:
    message = delta(2, 1, ONE, TWO)
    message.delta.removed_paths.append("zzz")
    assert "not there" in refused(holding(ONE), message)


def test_a_heartbeat_between_fragments() -> None:
    first = fragments(snapshot(2, TWO), 2)[0]
    assert "came between" in refused(holding(ONE), first, heartbeat(1))


def changed(change: Callable[[pb.WatchResponse], object]) -> list[pb.WatchResponse]:
    """The messages of a version in fragments, of which the second is changed."""
    messages = fragments(snapshot(2, {"a": b"0123456789", "b": b"x"}), 4)
    change(messages[1])
    return messages[:2]


def _set(**fields: object) -> Callable[[pb.WatchResponse], object]:
    def change(message: pb.WatchResponse) -> None:
        for name, value in fields.items():
            setattr(message.snapshot.files[0], name, value)

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_set(content_offset=5), "after byte 4"),
        (_set(content_offset=3), "after byte 4"),
        (_set(content_offset=0), "after byte 4"),
        (_set(path="b"), "after byte 4"),
        (_set(size_bytes=11), "after byte 4"),
        (_set(digest=digest(b"other")), "after byte 4"),
        (_set(content=b"4567890"), "longer than its 10 bytes"),
        (_set(content=b"456780"), "have the digest"),
        (lambda m: setattr(m.snapshot, "view_digest", digest(b"")), "something else"),
        (lambda m: setattr(m.header, "version", 3), "something else"),
        (lambda m: setattr(m.header, "epoch", "e9"), "something else"),
        (lambda m: m.delta.SetInParent(), "something else"),
        (lambda m: setattr(m, "more_fragments", False), "ends before its last byte"),
    ],
)
def test_a_fragment_that_does_not_fit(change: Callable[[pb.WatchResponse], object], why: str) -> None:
    assert why in refused(Assembler(), *changed(change))


@pytest.mark.parametrize(
    ("paths", "why"),
    [(["b", "a"], "comes after"), (["a", "a"], "comes after"), ([""], "comes after")],
)
def test_paths_out_of_order(paths: list[str], why: str) -> None:
    message = snapshot(1, {})
    message.snapshot.files.extend(pb.ConfigFile(path=path, digest=digest(b"")) for path in paths)
    assert why in refused(Assembler(), message)


@pytest.mark.parametrize(("offset", "size"), [(1, 4), (0, -1)])
def test_a_file_that_begins_wrong(offset: int, size: int) -> None:
    message = snapshot(1, {"a": b"abc"})
    message.snapshot.files[0].content_offset = offset
    message.snapshot.files[0].size_bytes = size
    assert "begins at byte" in refused(Assembler(), message)


def test_a_wrong_view_digest() -> None:
    message = snapshot(1, ONE)
    message.snapshot.view_digest = view_digest(TWO)
    assert "view digest" in refused(Assembler(), message)


def test_a_version_without_a_number() -> None:
    assert "begin at 1" in refused(Assembler(), snapshot(0, ONE))


def test_what_is_too_large_is_refused_by_its_announcement() -> None:
    assembler = Assembler(max_bytes=20)
    assembler.begin_stream()
    assembler.take(snapshot(1, {"a": b"x" * 20}))
    first = fragments(snapshot(2, {"a": b"x" * 21}), 1)[0]
    with pytest.raises(RefusedError, match="more than the 20 bytes") as raised:
        assembler.take(first)
    assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert assembler.resume_token == "e1/1"


def test_what_a_delta_makes_too_large_is_refused() -> None:
    assembler = Assembler(max_bytes=20)
    assembler.begin_stream()
    old = {"a": b"x" * 15}
    assembler.take(snapshot(1, old))
    with pytest.raises(RefusedError, match="more than the 20 bytes"):
        assembler.take(delta(2, 1, old, {**old, "b": b"x" * 6}))


def test_names_are_bounded_whatever_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_assembler, "MOST_OVERHEAD_BYTES", 700)  # for three files of less than 20 bytes of names
    old, new = {"a": b"", "b": b""}, {"a": b"", "b": b"", "c": b"", "d": b""}
    assembler = holding(old)
    assert contents(assembler.take(delta(2, 1, old, {**old, "c": b""}))) == {**old, "c": b""}
    with pytest.raises(RefusedError, match="more than the 700 bytes of names") as raised:
        assembler.take(delta(3, 2, {**old, "c": b""}, new))
    assert raised.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert assembler.resume_token == "e1/2"
    with pytest.raises(RefusedError, match="more than the 700 bytes of names"):
        Assembler().take(snapshot(1, new))
