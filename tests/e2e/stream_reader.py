"""The messages of a Watch stream: puts fragments together, applies deltas, and checks what is promised of them."""

import dataclasses

from confstream.v1 import config_service_pb2 as pb
from recording import hashes_of, tree_digest
from records import CONTENT_KINDS, Content, Received
from stream_rules import StreamRules

RECEIVE_LIMIT = 4 << 20  # what gRPC clients accept by default


@dataclasses.dataclass
class Event:
    """A message, or all fragments of a version."""

    kind: str  # snapshot (or what a delta makes of the one before), heartbeat or source_status
    header: pb.ResponseHeader
    in_sync: bool
    watch_id: str = ""
    reason: str = ""
    skipped_versions: int = 0
    files: dict = dataclasses.field(default_factory=dict)  # path -> bytes
    entries: dict = dataclasses.field(default_factory=dict)  # path -> its first ConfigFile, without content
    missing_globs: list = dataclasses.field(default_factory=list)
    view_digest: str = ""
    fragments: int = 1
    is_delta: bool = False
    message_bytes: int = 0  # of all fragments
    status: pb.SourceStatus = None

    @property
    def version(self):
        return self.header.version

    @property
    def token(self):
        return self.header.resume_token

    @property
    def state(self):
        return pb.SourceState.Name(self.status.state).removeprefix("SOURCE_STATE_")


def digest_of(files):
    """`sha256:<hex>` of what sha256sum prints for these files in byte order of their paths."""
    return tree_digest(hashes_of(files))


def check(condition, *what):
    if not condition:
        raise AssertionError(f"the stream breaks a promise: {what}")


class StreamReader:
    """Makes events of messages. Raises AssertionError at the first one that breaks a promise.

    `opened` is the stream's StreamOpened; `recorder`, if given, is handed what was received.
    """

    def __init__(self, request, opened, recorder=None, held=None):
        self._request = request
        self._opened = opened
        self._recorder = recorder
        self._rules = StreamRules(opened)
        self._held = held  # the event whose content the resume token stands for
        self._first = True
        self._parts = []  # fragments of the version under way
        self._last = None  # the last content, or the heartbeat that settled

    def take(self, message):
        """Returns the event that the message completes, or None."""
        check(message.ByteSize() <= RECEIVE_LIMIT, "size", message.ByteSize())
        check(bool(message.watch_id) == self._first, "watch_id on the first message only", message.watch_id)
        check(message.header.source == self._request.source and message.header.epoch, "header", message.header)
        check(bool(message.header.version) == bool(message.header.resume_token), "token", message.header)
        self._first = False
        kind = message.WhichOneof("event")
        hashes = {}
        if kind in CONTENT_KINDS:
            event = self._take_fragment(message, kind)
            if event is not None:
                hashes = self._check_files(event)
        else:
            check(kind in ("heartbeat", "source_status"), "event", kind)
            check(not message.reason and not message.skipped_versions and not message.more_fragments, message)
            event = Event(kind, message.header, message.in_sync, message.watch_id)
            if kind == "source_status":
                event.status = message.source_status
            elif self._last is None and message.in_sync:
                self._last = event
                if self._held is not None:
                    event.files, event.entries = self._held.files, self._held.entries
        self._judge(message, kind, event, hashes)
        return event

    def _judge(self, message, kind, event, hashes):
        """Records the message, and lets the rules of the stream judge it."""
        header = message.header
        received = Received(
            stream=self._opened.stream,
            kind=kind,
            epoch=header.epoch,
            version=header.version,
            digest=header.digest,
            watch_id=message.watch_id,
            reason=pb.WatchReason.Name(message.reason).removeprefix("WATCH_REASON_") if message.reason else "",
            in_sync=message.in_sync,
            skipped_versions=message.skipped_versions,
            more_fragments=message.more_fragments,
            view_digest=getattr(message, kind).view_digest if kind in CONTENT_KINDS else "",
            held_digest=tree_digest(hashes) if kind in CONTENT_KINDS and event is not None else "",
            base_version=message.delta.base_version,
            state=event.state if kind == "source_status" else "",
        )
        if self._recorder is not None:
            if received.held_digest:
                self._recorder.add(Content(digest=received.held_digest, files=hashes))
            self._recorder.add(received)
        broken = self._rules.take(received)
        check(not broken, broken, received)

    def _take_fragment(self, message, kind):
        self._parts.append(message)
        first = self._parts[0]
        content = getattr(message, kind)
        check(first.WhichOneof("event") == kind, "a snapshot and a delta in one version")
        check(message.header == first.header and message.reason == first.reason, "fragments of two versions")
        check(content.view_digest == getattr(first, kind).view_digest, "view_digest differs between fragments")
        if message.more_fragments:
            check(not content.missing_globs, "missing_globs on a fragment")
            return None
        event = Event(
            "snapshot",
            message.header,
            message.in_sync,
            first.watch_id,
            pb.WatchReason.Name(message.reason).removeprefix("WATCH_REASON_"),
            first.skipped_versions,
            missing_globs=list(content.missing_globs),
            view_digest=content.view_digest,
            fragments=len(self._parts),
            is_delta=kind == "delta",
            message_bytes=sum(part.ByteSize() for part in self._parts),
        )
        self._join_files(event)
        if event.is_delta:
            self._apply_delta(event)
        self._parts = []
        self._last = event
        return event

    def _join_files(self, event):
        contents = {}
        for part in self._parts:
            for file in part.delta.changed_files if event.is_delta else part.snapshot.files:
                if file.path not in contents:
                    check(not contents or max(contents) < file.path.encode().decode(), "order of paths", file.path)
                    check(0 < file.last_changed_version <= event.version, "last_changed_version", event.header)
                    contents[file.path] = []
                    event.entries[file.path] = pb.ConfigFile()
                    event.entries[file.path].CopyFrom(file)
                    event.entries[file.path].ClearField("content")
                check(file.path == next(reversed(contents)), "a split file is interrupted", file.path)
                check(file.content_offset == sum(map(len, contents[file.path])), "content_offset", file.path)
                contents[file.path].append(file.content)
        event.files = {path: b"".join(pieces) for path, pieces in contents.items()}

    def _apply_delta(self, event):
        base = self._last if self._last is not None else self._held
        check(base is not None, "a delta on a stream that holds nothing")
        files, entries = dict(base.files), dict(base.entries)
        for path in [path for part in self._parts for path in part.delta.removed_paths]:
            check(path in files and path not in event.files, "removed_paths", path)
            del files[path], entries[path]
        event.files, event.entries = {**files, **event.files}, {**entries, **event.entries}

    def _check_files(self, event):
        """Returns path -> SHA-256 of what the client holds now."""
        hashes = hashes_of(event.files)
        for path, content in event.files.items():
            entry = event.entries[path]
            check(entry.size_bytes == len(content), "size_bytes", path)
            check(entry.digest == "sha256:" + hashes[path], "digest", path)
        return hashes
