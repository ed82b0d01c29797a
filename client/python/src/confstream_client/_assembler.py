"""Puts the messages of Watch streams together into whole snapshots, and believes none of them unchecked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import grpc

from confstream.v1.config_service_pb2 import ConfigFile, Delta, ResponseHeader, WatchResponse

from .snapshot import File, Snapshot, view_digest_of

DEFAULT_MAX_BYTES = 1 << 30
MOST_OVERHEAD_BYTES = 64 << 20  # for the names and types of a version's files, besides its content
OVERHEAD_OF_FILE = 200  # what a file takes besides its content, path and type


class RefusedError(Exception):
    """A message that is not believed, or a version that is too large. The stream is of no more use."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class _PartialFile:
    """A file whose end has not come yet. It is hashed as it comes, so that no message takes long."""

    # Not the message itself, which would keep all that came with it.
    path: str
    size_bytes: int
    digest: str
    content_type: str
    last_changed_version: int
    parts: list[bytes] = field(default_factory=list)
    received: int = 0
    hasher: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, content: bytes) -> None:
        if content:
            self.parts.append(content)
            self.received += len(content)
            self.hasher.update(content)


@dataclass
class _Pending:
    """A version of which some fragments are here."""

    event: str
    header: ResponseHeader
    view_digest: str
    base_version: int  # of a delta
    size_bytes: int = 0  # of the files announced so far
    overhead: int = 0
    files: dict[str, File] = field(default_factory=dict)  # of a delta: those that changed
    removed: set[str] = field(default_factory=set)
    last_path: str = ""
    partial: _PartialFile | None = None


class Assembler:
    """Follows the streams of one view, one after another. Not thread-safe.

    For each stream: `begin_stream`, with `resume_token` in its request; then `take` for each message. What was
    completed stays held, whatever happens to later streams.
    """

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self.held: Snapshot | None = None
        """The last complete snapshot. Its header moves on with messages that say so."""
        self.resume_token = ""
        """That of the last message whose content is held completely; empty if there is none."""
        self._pending: _Pending | None = None
        self._watch_id = ""
        # True: the stream stands where `held` does, by its token or by what it sent.
        self._based = False
        self._stream_epoch = ""  # of the last version completed on this stream
        self._stream_version = 0

    def hold(self, snapshot: Snapshot) -> None:
        """Begin with `snapshot`, which comes from elsewhere."""
        self.held = snapshot
        self.resume_token = snapshot._header.resume_token

    def begin_stream(self) -> None:
        """Forget the fragments of a version that the stream before left half sent."""
        self._pending = None
        self._watch_id = ""
        self._based = self.held is not None and self.resume_token != ""
        self._stream_epoch, self._stream_version = "", 0

    def take(self, message: WatchResponse) -> Snapshot | None:
        """Take the next message, and return the snapshot that it completes, if any.

        Raises RefusedError: DATA_LOSS if the message contradicts itself or those before it, and the token is
        forgotten, so that the next stream begins anew; RESOURCE_EXHAUSTED for a version of more than `max_bytes`.
        """
        self._watch_id = message.watch_id or self._watch_id
        event = message.WhichOneof("event")
        if event not in ("snapshot", "delta"):
            self._take_other(message)
            return None
        if self._pending is None:
            self._pending = self._begin_version(message)
        else:
            self._check_continues(self._pending, message)
        pending = self._pending
        files = message.delta.changed_files if event == "delta" else message.snapshot.files
        for part in files:
            self._add_part(pending, part)
        if event == "delta":
            self._add_removals(pending, message.delta)
        return None if message.more_fragments else self._finish_version(pending, message)

    def _take_other(self, message: WatchResponse) -> None:
        header = message.header
        if header.version < 0:
            raise self._wrong(header, "versions begin at 1")
        if self._pending is not None:
            raise self._wrong(self._pending.header, "another message came between its fragments")
        if message.in_sync and header.version != 0 and not self._based:
            raise self._wrong(header, "it is called in sync, but was not sent")
        # Without content a token would claim what this client does not have.
        if not self._based or header.version == 0 or not header.resume_token or message.more_fragments:
            return
        assert self.held is not None
        if header.epoch == self._stream_epoch and header.version < self._stream_version:
            raise self._wrong(header, f"version {self._stream_version} came before it")
        self._stream_epoch, self._stream_version = header.epoch, header.version
        self.resume_token = header.resume_token
        self.held = replace(self.held, _header=_copy(header), _watch_id=self._watch_id)

    def _begin_version(self, message: WatchResponse) -> _Pending:
        header, event = message.header, message.WhichOneof("event") or ""
        if header.version < 1:
            raise self._wrong(header, "versions begin at 1")
        if header.epoch == self._stream_epoch and header.version <= self._stream_version:
            raise self._wrong(header, f"version {self._stream_version} came before it")
        base = message.delta.base_version
        if event == "delta" and not (self._based and self.held is not None and self.held.version == base):
            raise self._wrong(header, f"it is a delta against version {base}, which is not the one held")
        return _Pending(event, _copy(header), _view_digest(message), base)

    def _check_continues(self, pending: _Pending, message: WatchResponse) -> None:
        header = message.header
        if (
            message.WhichOneof("event") != pending.event
            or (header.epoch, header.version) != (pending.header.epoch, pending.header.version)
            or _view_digest(message) != pending.view_digest
            or message.delta.base_version != pending.base_version
        ):
            raise self._wrong(pending.header, "a fragment of something else came before its end")

    def _add_part(self, pending: _Pending, part: ConfigFile) -> None:
        partial = pending.partial
        if partial is None:
            if part.path <= pending.last_path:  # by code points, which is the order of the UTF-8 bytes, too
                raise self._wrong(pending.header, f"file {part.path!r} comes after {pending.last_path!r}")
            if part.content_offset != 0 or part.size_bytes < 0:
                raise self._wrong(
                    pending.header,
                    f"file {part.path!r} begins at byte {part.content_offset} of {part.size_bytes}",
                )
            pending.size_bytes += part.size_bytes
            pending.overhead += _overhead(part)
            self._check_size(pending, pending.size_bytes, pending.overhead)
            partial = pending.partial = _PartialFile(
                part.path,
                part.size_bytes,
                part.digest,
                part.content_type,
                part.last_changed_version,
            )
            pending.last_path = part.path
        elif (part.path, part.size_bytes, part.digest, part.content_offset) != (
            partial.path,
            partial.size_bytes,
            partial.digest,
            partial.received,
        ):
            raise self._wrong(
                pending.header,
                f"after byte {partial.received} of file {partial.path!r} comes something else "
                f"({part.path!r} from byte {part.content_offset})",
            )
        partial.add(part.content)
        if partial.received > partial.size_bytes:
            raise self._wrong(pending.header, f"file {part.path!r} is longer than its {partial.size_bytes} bytes")
        if partial.received == partial.size_bytes:
            pending.files[part.path] = self._finish_file(pending, partial)
            pending.partial = None

    def _finish_file(self, pending: _Pending, partial: _PartialFile) -> File:
        digest = f"sha256:{partial.hasher.hexdigest()}"
        if digest != partial.digest:
            raise self._wrong(
                pending.header,
                f"the bytes of file {partial.path!r} have the digest {digest}, not {partial.digest!r}",
            )
        content = partial.parts[0] if len(partial.parts) == 1 else b"".join(partial.parts)
        return File(partial.path, content, digest, partial.content_type, partial.last_changed_version)

    def _add_removals(self, pending: _Pending, fragment: Delta) -> None:
        assert self.held is not None
        for path in fragment.removed_paths:
            if path not in self.held:  # which also bounds what is kept
                raise self._wrong(pending.header, f"it removes file {path!r}, which is not there")
            pending.removed.add(path)

    def _finish_version(self, pending: _Pending, message: WatchResponse) -> Snapshot:
        header, files = message.header, pending.files
        if pending.partial is not None:
            raise self._wrong(header, f"file {pending.partial.path!r} ends before its last byte")
        if pending.event == "delta":
            assert self.held is not None
            kept = {path: file for path, file in self.held.items() if path not in pending.removed}
            files = dict(sorted({**kept, **files}.items()))
            size_bytes = sum(len(file.content) for file in files.values())
            self._check_size(pending, size_bytes, sum(map(_overhead, files.values())))
        digest = view_digest_of(files)
        if digest != pending.view_digest:
            raise self._wrong(header, f"its files have the view digest {digest}, not {pending.view_digest!r}")
        last = message.delta if pending.event == "delta" else message.snapshot
        self._pending = None
        self._based = True
        self._stream_epoch, self._stream_version = header.epoch, header.version
        self.resume_token = header.resume_token
        self.held = Snapshot(digest, tuple(last.missing_globs), files, _copy(header), self._watch_id)
        return self.held

    def _check_size(self, pending: _Pending, size_bytes: int, overhead: int) -> None:
        for size, most, what in (
            (size_bytes, self._max_bytes, "bytes"),
            (overhead, MOST_OVERHEAD_BYTES, "bytes of names"),
        ):
            if size > most:
                raise RefusedError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"version {pending.header.version} has more than the {most} {what} that this client takes",
                )

    def _wrong(self, header: ResponseHeader, what: str) -> RefusedError:
        self.resume_token = ""
        return RefusedError(grpc.StatusCode.DATA_LOSS, f"the server sent version {header.version} wrong: {what}")


def _overhead(file: ConfigFile | File) -> int:
    return len(file.path.encode()) + len(file.content_type.encode()) + OVERHEAD_OF_FILE


def _copy(header: ResponseHeader) -> ResponseHeader:
    """Return a header that does not keep its message, with all of its content, in memory."""
    copy = ResponseHeader()
    copy.CopyFrom(header)
    return copy


def _view_digest(message: WatchResponse) -> str:
    return message.delta.view_digest or message.snapshot.view_digest
