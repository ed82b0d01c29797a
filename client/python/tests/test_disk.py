"""The copy on disk: what is written, and what of it counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from confstream.v1.config_service_pb2 import WatchResponse
from confstream_client._assembler import Assembler
from confstream_client._disk import DiskCopy
from confstream_client.snapshot import Snapshot
from scripted_server import Files, snapshot

FILES: Files = {"a": b"one", "b/c": b"", "z": bytes(range(256))}


def made(version: int, files: Files) -> Snapshot:
    snap = Assembler().take(snapshot(version, files))
    assert snap is not None
    return snap


@pytest.fixture
def disk(tmp_path: Path) -> DiskCopy:
    return DiskCopy(tmp_path / "new", "demo", ["b*", "a", "b*"], 1 << 20)


def test_the_name_has_the_globs_without_order_or_doubles(tmp_path: Path) -> None:
    # printf 'a\nb*\n' | sha256sum; printf '' | sha256sum
    assert DiskCopy(tmp_path, "demo", ["b*", "a", "b*"], 1).path.name == "demo.fdfffc4b9c801109.snapshot"
    assert DiskCopy(tmp_path, "demo", [], 1).path.name == "demo.e3b0c44298fc1c14.snapshot"


def test_what_was_saved_is_loaded(disk: DiskCopy) -> None:
    assert disk.load() is None
    disk.save(made(1, {}))
    disk.save(made(2, FILES))
    loaded = disk.load()
    assert loaded is not None
    assert (loaded.version, loaded._header.resume_token) == (2, "e1/2")
    assert loaded == made(2, FILES)
    assert [path.name for path in disk.path.parent.iterdir()] == [disk.path.name]
    assert disk.path.stat().st_mode & 0o777 == 0o600


def test_a_write_that_fails_leaves_the_old_copy_and_no_litter(disk: DiskCopy, monkeypatch: pytest.MonkeyPatch) -> None:
    disk.save(made(1, FILES))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        disk.save(made(2, {}))
    loaded = disk.load()
    assert loaded is not None
    assert loaded.version == 1
    assert len(list(disk.path.parent.iterdir())) == 1


def _edited(edit: Callable[[WatchResponse], object]) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        message = WatchResponse.FromString(data)
        edit(message)
        return message.SerializeToString()

    return damage


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-300], "no snapshot"),
        (lambda data: b"not a snapshot\n" * 20, "no snapshot"),
        (lambda data: b"", "source ''"),
        (lambda data: data.replace(b"one", b"two"), "digest"),
        (_edited(lambda m: setattr(m.header, "source", "other")), "source 'other'"),
        (_edited(lambda m: m.snapshot.files.pop()), "view digest"),
        (_edited(lambda m: setattr(m, "more_fragments", True)), "not a whole snapshot"),
        (_edited(lambda m: m.ClearField("snapshot")), "not a whole snapshot"),
        (_edited(lambda m: m.snapshot.files[0].ClearField("path")), "comes after"),
        (_edited(lambda m: m.header.ClearField("version")), "versions begin"),
    ],
)
def test_a_damaged_copy_does_not_count(disk: DiskCopy, damage: Callable[[bytes], bytes], why: str) -> None:
    disk.save(made(1, FILES))
    disk.path.write_bytes(damage(disk.path.read_bytes()))
    with pytest.raises(ValueError, match=why):
        disk.load()


def test_a_copy_larger_than_wanted_does_not_count(disk: DiskCopy) -> None:
    disk.save(made(1, FILES))
    small = DiskCopy(disk.path.parent, "demo", ["a", "b*"], 100)
    with pytest.raises(ValueError, match="more than the 100 bytes"):
        small.load()
