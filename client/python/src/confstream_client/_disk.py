"""The copy of the last good snapshot on disk, as docs/clients.md of the project has it."""

from __future__ import annotations

import glob
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from confstream.v1.config_service_pb2 import WatchResponse

from ._assembler import MOST_OVERHEAD_BYTES, Assembler, RefusedError
from .snapshot import Snapshot

LEFTOVER_SECONDS = 600


class DiskCopy:
    """One view's file in a cache directory. Not thread-safe; processes may share the directory."""

    def __init__(self, directory: Path, source: str, globs: Iterable[str], max_bytes: int) -> None:
        view = hashlib.sha256("".join(f"{glob}\n" for glob in sorted(set(globs))).encode())
        self.path = directory / f"{source}.{view.hexdigest()[:16]}.snapshot"
        self._source = source
        self._max_bytes = max_bytes

    def load(self) -> Snapshot | None:
        """Return the copy, or None if there is none. Raises OSError, or ValueError for one that does not count."""
        try:
            message = WatchResponse.FromString(self._read())
        except FileNotFoundError:
            return None
        except DecodeError as error:
            raise ValueError("it is no snapshot") from error
        if message.header.source != self._source:
            raise ValueError(f"it is of the source {message.header.source!r}")
        try:
            snapshot = Assembler(self._max_bytes).take(message)
        except RefusedError as error:
            raise ValueError(str(error)) from error
        if snapshot is None:
            raise ValueError("it is not a whole snapshot")
        return snapshot

    def _read(self) -> bytes:
        self._remove_leftovers()
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would hold the program up
        with os.fdopen(descriptor, "rb") as file_object:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("it is no file")
            if found.st_size > self._max_bytes + MOST_OVERHEAD_BYTES:
                raise ValueError(f"it has {found.st_size} bytes, and at most {self._max_bytes} are taken")
            return file_object.read()

    def _remove_leftovers(self) -> None:
        """Remove what programs that were killed while they wrote have left. One that writes now is not touched."""
        for path in self.path.parent.glob(f"{glob.escape(self.path.name)}.*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                    path.unlink()

    def save(self, snapshot: Snapshot) -> None:
        """Replace the copy, all at once. Raises OSError, and leaves the old one then."""
        message = WatchResponse(header=snapshot._header)
        message.snapshot.view_digest = snapshot.view_digest
        message.snapshot.missing_globs.extend(snapshot.missing_globs)
        for file in snapshot.values():
            message.snapshot.files.add(
                path=file.path,
                content=file.content,
                size_bytes=len(file.content),
                digest=file.digest,
                content_type=file.content_type,
                last_changed_version=file.last_changed_version,
            )
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(".tmp", f"{self.path.name}.", directory)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file_object:
                file_object.write(message.SerializeToString())
                file_object.flush()
                os.fsync(file_object.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
