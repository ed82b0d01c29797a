"""A Watch stream from the client's side: puts fragments together and checks every promise about the stream."""

import dataclasses
import hashlib
import queue
import threading

import grpc

from confstream.internal import grpc_protocols_pb2
from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc

DEADLINE = 60.0  # seconds
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


@dataclasses.dataclass
class Ending:
    """How a call ended; `reason` and `retry_seconds` are from google.rpc's details."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    retry_seconds: float = None


def ending_of(call):
    """REQUIRES: the call has ended. Also takes the grpc.RpcError of a unary call."""
    ending = Ending(call.code(), call.details())
    for key, value in call.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        details = grpc_protocols_pb2.RpcStatus.FromString(value)
        assert details.code == ending.code.value[0] and details.message == ending.message, details
        for any_message in details.details:
            if any_message.type_url == "type.googleapis.com/google.rpc.ErrorInfo":
                info = grpc_protocols_pb2.ErrorInfo.FromString(any_message.value)
                assert info.domain == "confstream.dev", info
                ending.reason = info.reason
            elif any_message.type_url == "type.googleapis.com/google.rpc.RetryInfo":
                delay = grpc_protocols_pb2.RetryInfo.FromString(any_message.value).retry_delay
                ending.retry_seconds = delay.seconds + delay.nanos / 1e9
    return ending


def failure(function, *arguments, **keywords):
    """The Ending of a unary call that must fail."""
    try:
        answer = function(*arguments, timeout=DEADLINE, **keywords)
    except grpc.RpcError as error:
        return ending_of(error)
    raise AssertionError(f"the call succeeded: {answer}")


def digest_of(files):
    """`sha256:<hex>` of what sha256sum prints for these files in byte order of their paths."""
    lines = []
    for path in sorted(files, key=lambda path: path.encode()):
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
        mark = "\\" if escaped != path else ""
        lines.append(f"{mark}{hashlib.sha256(files[path]).hexdigest()}  {escaped}\n")
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def check(condition, *what):
    if not condition:
        raise AssertionError(f"the stream breaks a promise: {what}")


class StreamChecker:
    """Makes events of messages. Raises AssertionError at the first one that breaks a promise."""

    def __init__(self, request, held=None):
        self._request = request
        self._held = held  # the event whose content the resume token stands for
        self._first = True
        self._parts = []  # fragments of the version under way
        self._last = None  # the last content, or the heartbeat that settled
        self._complete = None  # header of the last event

    def take(self, message):
        """Returns the event that the message completes, or None."""
        check(message.ByteSize() <= RECEIVE_LIMIT, "size", message.ByteSize())
        check(bool(message.watch_id) == self._first, "watch_id on the first message only", message.watch_id)
        check(message.header.source == self._request.source and message.header.epoch, "header", message.header)
        self._first = False
        kind = message.WhichOneof("event")
        if kind in ("snapshot", "delta"):
            event = self._take_fragment(message, kind)
        else:
            check(kind in ("heartbeat", "source_status"), "event", kind)
            check(not self._parts, "another message between fragments", kind)
            check(not message.reason and not message.skipped_versions and not message.more_fragments, message)
            event = Event(kind, message.header, message.in_sync, message.watch_id)
            if kind == "source_status":
                event.status = message.source_status
            elif self._last is None and message.in_sync:
                self._last = event
                if self._held is not None:
                    event.files, event.entries = self._held.files, self._held.entries
        if event is not None:
            self._check_order(event)
        return event

    def _take_fragment(self, message, kind):
        self._parts.append(message)
        first = self._parts[0]
        content = getattr(message, kind)
        check(first.WhichOneof("event") == kind, "a snapshot and a delta in one version")
        check(message.header == first.header and message.reason == first.reason, "fragments of two versions")
        check(content.view_digest == getattr(first, kind).view_digest, "view_digest differs between fragments")
        check(message is first or not message.skipped_versions, "skipped_versions on a later fragment")
        if message.more_fragments:
            check(not message.in_sync and not content.missing_globs, "too early on a fragment")
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
        self._check_content(event)
        self._last = event
        return event

    def _join_files(self, event):
        contents = {}
        for part in self._parts:
            for file in part.delta.changed_files if event.is_delta else part.snapshot.files:
                if file.path not in contents:
                    check(not contents or max(contents) < file.path.encode().decode(), "order of paths", file.path)
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
        check(self._request.mode == pb.WATCH_MODE_DELTA, "a delta was not asked for")
        check(base is not None, "a delta on a stream that holds nothing")
        # A version in which the view did not change may have been told of by a heartbeat only.
        bases = {base.version, self._complete.version if self._complete is not None else base.version}
        check(self._parts[0].delta.base_version in bases, "base_version", self._parts[0].delta.base_version, bases)
        files, entries = dict(base.files), dict(base.entries)
        for path in [path for part in self._parts for path in part.delta.removed_paths]:
            check(path in files and path not in event.files, "removed_paths", path)
            del files[path], entries[path]
        event.files, event.entries = {**files, **event.files}, {**entries, **event.entries}

    def _check_content(self, event):
        for path, content in event.files.items():
            entry = event.entries[path]
            check(entry.size_bytes == len(content), "size_bytes", path)
            check(entry.digest == "sha256:" + hashlib.sha256(content).hexdigest(), "digest", path)
            check(0 < entry.last_changed_version <= event.version, "last_changed_version", entry)
        check(event.view_digest == digest_of(event.files), "view_digest", event.header)
        whole = not self._request.path_globs
        check(not whole or event.view_digest == event.header.digest, "digest", event.header)
        if self._last is None:
            check(event.skipped_versions == 0, "skipped_versions on the first content")
            expected = ("RESYNC", "UPDATE") if self._request.resume_token else ("INITIAL",)
            check(event.reason in expected, "reason", event.reason)
            return
        check(event.reason == "UPDATE", "reason", event.reason)
        check(event.header.epoch == self._last.header.epoch, "the epoch changed")
        check(event.version > self._last.version, "versions increase", event.version, self._last.version)
        if self._request.every_version:
            check(event.skipped_versions == 0, "skipped_versions with every_version", event.skipped_versions)
            return
        gap = event.version - self._last.version - 1
        check(event.skipped_versions == gap if whole else event.skipped_versions <= gap, "skipped_versions", event)

    def _check_order(self, event):
        before, self._complete = self._complete, event.header
        if before is not None and before.version and before.epoch == event.header.epoch:
            check(event.version >= before.version, "header goes back", event.header, before)
        check(bool(event.version) == bool(event.token), "token", event.header)


class Watch:
    """A stream on a connection of its own. A thread reads it; next() and the like hand out its events in order.

    `held`, with a resume_token: the event that the token is from, for deltas.
    """

    def __init__(self, address, channel_options=(), paused=False, held=None, **fields):
        for name in ("heartbeat_interval", "min_update_interval"):
            if name in fields:
                seconds = fields.pop(name)
                fields[name] = {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
        request = pb.WatchRequest(**fields)
        self.events = []  # all so far
        self._fresh = queue.Queue()
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), *channel_options])
        self.call = config_service_pb2_grpc.ConfigServiceStub(self._channel).Watch(request)
        self._checker = StreamChecker(request, held)
        self._fault = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        if not paused:
            self.read()

    def read(self):
        """Begins to read a stream that was opened `paused`."""
        self._thread.start()

    def next(self, deadline=DEADLINE):
        """The next event of any kind."""
        try:
            event = self._fresh.get(timeout=deadline)
        except queue.Empty:
            raise AssertionError(f"no event for {deadline} s; the last was {self.events[-1:]}") from None
        if event is None:
            self._fresh.put(None)
            if self._fault is not None:
                raise self._fault
            raise AssertionError(f"the stream ended: {ending_of(self.call)}")
        return event

    def next_version(self):
        """The next snapshot; statuses and heartbeats before it are passed over."""
        while (event := self.next()).kind != "snapshot":
            pass
        return event

    def next_status(self, state=None):
        """The next status (in this state); heartbeats and snapshots before it are passed over."""
        while (event := self.next()).kind != "source_status" or (state and event.state != state):
            pass
        return event

    def until(self, condition):
        """The next snapshot for which the condition holds; all others before it are passed over."""
        while not condition(event := self.next_version()):
            pass
        return event

    def end(self):
        """Reads to the end of the stream and tells how it ended."""
        self._thread.join(DEADLINE)
        if self._thread.is_alive():
            raise AssertionError(f"the stream does not end; the last was {self.events[-1:]}")
        if self._fault is not None:
            raise self._fault
        return ending_of(self.call)

    @property
    def fault(self):
        """The promise that was broken, if one was."""
        return self._fault

    def alive(self):
        return self._thread.is_alive()

    def snapshots(self):
        return [event for event in list(self.events) if event.kind == "snapshot"]

    def close(self):
        self.call.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._channel.close()
        if self._fault is not None:
            raise self._fault

    def _read(self):
        try:
            for message in self.call:
                event = self._checker.take(message)
                if event is not None:
                    self.events.append(event)
                    self._fresh.put(event)
        except grpc.RpcError:
            pass  # ending_of() tells
        except AssertionError as fault:
            self._fault = fault
            self.call.cancel()
        self._fresh.put(None)
