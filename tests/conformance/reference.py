"""A client for the suite's own tests: as docs/clients.md has it, or wrong on purpose.

It is no client for anybody to use. Its faults, each named in the environment variable CONFORMANCE_FAULT, are what a
scenario must find: selftest.py sees to it that each scenario fails with the faults that it names under `caught`.
"""

import argparse
import dataclasses
import hashlib
import json
import math
import os
import queue
import random
import sys
import threading
import time

import grpc
from google.protobuf import message as protobuf

import disk_copy
from content import digest_of, view_digest_of
from protocol import REPORT_OUTCOME, WATCH, details_pb, pb

FATAL = {
    "NOT_FOUND",
    "INVALID_ARGUMENT",
    "OUT_OF_RANGE",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
}
FIRST_BACKOFF, MOST_BACKOFF, MOST_RETRY_INFO = 0.1, 10.0, 60.0
_FAULT = os.environ.get("CONFORMANCE_FAULT", "")
_print_lock = threading.Lock()


def wrong(fault):
    return fault == _FAULT


def say(event, **fields):
    with _print_lock:
        print(json.dumps({"event": event, **fields}), flush=True)


def log(text):
    print(text, file=sys.stderr, flush=True)


class Nonsense(Exception):
    """What the server sent contradicts itself."""


@dataclasses.dataclass
class Held:
    header: object
    files: dict
    view_digest: str
    missing: list
    number: int  # of its content
    from_cache: bool = False


class Assembler:
    def __init__(self, max_bytes):
        self._max_bytes = max_bytes
        self.held = None
        self.token = ""
        self._numbers = 0
        self._pending = None
        self._position = ("", 0)
        self._stands = False

    def begin_stream(self):
        self._stands = self.held is not None and self.token != ""
        if not wrong("fragments-kept"):
            self._pending = None
        if not wrong("epoch-ignored"):
            self._position = ("", 0)

    def hold(self, header, files, missing, from_cache=False):
        digest = view_digest_of(files)
        if self.held is not None and self.held.view_digest == digest and not wrong("equal-is-change"):
            self._move(header)
            return False
        self._numbers += 1
        self.held = Held(header, files, digest, missing, self._numbers, from_cache)
        return True

    def _move(self, header):
        if not wrong("header-not-moved"):
            self.held = dataclasses.replace(self.held, header=header)

    def take(self, message):
        """True if the message completes content that is new."""
        kind = message.WhichOneof("event")
        if kind not in ("snapshot", "delta"):
            if kind is None and wrong("header-of-unknown-ignored"):
                return False
            if kind is None and wrong("unknown-is-fatal"):
                raise Nonsense("an event that nobody knows")
            if self._pending is not None and not wrong("interleaving-unchecked"):
                raise Nonsense("something came between the fragments")
            self._check_header(message, kind)
            if self.held is not None and message.header.version and message.header.resume_token:
                self.token = self.token if wrong("header-not-moved") else message.header.resume_token
                self._move(message.header)
            elif wrong("token-of-anything"):
                self.token = message.header.resume_token
            return self.held is not None and kind == "heartbeat" and wrong("heartbeat-is-change")
        event = getattr(message, kind)
        if kind == "delta" and not self._stands and not wrong("in-sync-believed"):
            raise Nonsense("a delta, but nothing to apply it to was sent")
        if wrong("unknown-enum-is-fatal") and message.reason > 3:
            raise Nonsense("a reason that nobody knows")
        identity = (kind, message.header.epoch, message.header.version, event.view_digest)
        if self._pending is None:
            self._begin(message, kind, event, identity)
        elif self._pending["identity"] != identity and not wrong("interleaving-unchecked"):
            raise Nonsense("a fragment of something else")
        files = event.changed_files if kind == "delta" else event.files
        for part in files:
            self._add(part)
        if kind == "delta":
            self._remove(event.removed_paths)
        if message.more_fragments and not wrong("fragment-is-whole"):
            if wrong("token-of-fragments"):
                self.token = message.header.resume_token
            return False
        return self._complete(message, event)

    def _check_header(self, message, kind):
        header = message.header
        if message.in_sync and header.version and not (self._stands or wrong("in-sync-believed")):
            raise Nonsense("in sync, but never sent")
        if not header.version or not self._stands:
            return
        if wrong("heartbeat-goes-back"):
            self._position = (header.epoch, header.version)
        if header.version < 0 or (header.epoch == self._position[0] and header.version < self._position[1]):
            raise Nonsense("the version goes back")
        if not wrong("heartbeat-is-no-mark"):
            self._position = (header.epoch, header.version)

    def _begin(self, message, kind, event, identity):
        header = message.header
        epoch, version = self._position
        if not wrong("version-unchecked"):
            if (header.epoch == epoch or wrong("epoch-ignored")) and header.version <= version:
                raise Nonsense("the version does not increase")
        files = {}
        if kind == "delta":
            if self.held is None or (event.base_version != self.held.header.version and not wrong("base-unchecked")):
                raise Nonsense("another base")
            files = {} if wrong("delta-is-all") else dict(self.held.files)
        self._pending = {"identity": identity, "files": files, "partial": None, "bytes": 0, "names": 0, "last": ""}

    def _add(self, part):
        pending, content = self._pending, part.content
        pending["bytes"] += len(content)
        if pending["bytes"] > self._max_bytes and not wrong("max-bytes-ignored"):
            raise Nonsense("too large")
        partial = pending["partial"]
        if partial is None:
            if not part.path:
                raise Nonsense("no path")
            pending["names"] += len(part.path)
            if pending["names"] > 1 << 26 and not wrong("names-unbounded"):
                raise Nonsense("too many names")
            if part.path.encode() <= pending["last"].encode():
                raise Nonsense("out of order")
            partial = pending["partial"] = {"path": part.path, "content": bytearray()}
            if wrong("takes-memory-at-once"):
                partial["content"] = bytearray(part.size_bytes)
        if not wrong("offset-unchecked"):
            if partial["path"] != part.path or part.content_offset != len(partial["content"]):
                raise Nonsense("a part is missing")
        if not (wrong("offset-first-only") and part.content_offset):
            partial["content"] += content
        size = len(partial["content"])
        if size > part.size_bytes and not wrong("size-unchecked"):
            raise Nonsense("longer than it says")
        if size < part.size_bytes and not (wrong("size-unchecked") or wrong("fragment-is-whole")):
            return
        whole = bytes(partial["content"])
        if digest_of(whole) != part.digest and not wrong("file-digest-unchecked"):
            raise Nonsense("the digest of a file")
        pending["files"][part.path] = whole
        pending["partial"], pending["last"] = None, part.path

    def _remove(self, paths):
        for path in paths:
            if path not in self.held.files and not wrong("removal-unchecked"):
                raise Nonsense("removes what is not there")
            if not wrong("removals-left"):
                self._pending["files"].pop(path, None)

    def _complete(self, message, event):
        pending, self._pending = self._pending, None
        if pending["partial"] is not None:
            raise Nonsense("a file ends before its end")
        files = pending["files"]
        limit = sum(map(len, files.values()))
        if limit > self._max_bytes and not (wrong("max-bytes-of-messages") or wrong("max-bytes-ignored")):
            raise Nonsense("too large")
        if sum(map(len, files)) > 1 << 26 and not wrong("names-unbounded-by-deltas"):
            raise Nonsense("too many names")
        if view_digest_of(files) != event.view_digest and not wrong("view-digest-unchecked"):
            raise Nonsense("the view digest")
        self._position = (message.header.epoch, message.header.version)
        self._stands = True
        self.token = message.header.resume_token
        return self.hold(message.header, files, [] if wrong("missing-globs-lost") else list(event.missing_globs))


class Watch:
    def __init__(self, arguments, callback):
        self._arguments = arguments
        self._callback = callback
        self._assembler = Assembler(arguments.max_bytes)
        self._changed = threading.Condition()
        self._closed = False
        self._settled = False
        self._failure = None  # (code, message) of the end
        self._why = "nothing was heard of the server"
        self._stale = False
        self._waiting = []  # changes: (old, new)
        self._queued = -math.inf  # when a change came last
        self._delivered = None
        self._decision = None  # (number of the content, outcome, reason)
        self._outcomes = {}  # view digest -> outcome and reason
        self._reported = None
        self._due = False
        self._watch_id = ""
        self._call = None
        self._bound = FIRST_BACKOFF
        self._heard = time.monotonic()
        self._silence = 3 * arguments.heartbeat
        options = [
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.enable_http_proxy", 0),
        ]
        if not wrong("no-keepalive"):
            options += [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
        if not wrong("large-message-refused"):
            options.append(("grpc.max_receive_message_length", 64 << 20))
        target = arguments.target
        if (wrong("no-unix-sockets") and target.startswith("unix:")) or (wrong("no-ipv6") and target.startswith("[")):
            target = "127.0.0.1:9"
        self._channel = grpc.insecure_channel(target, options)
        # It reads the bytes itself: gRPC would leave a call open whose message does not parse.
        self._open = self._channel.unary_stream(WATCH, pb.WatchRequest.SerializeToString)
        self._send_report = self._channel.unary_unary(
            REPORT_OUTCOME, pb.ReportOutcomeRequest.SerializeToString, pb.ReportOutcomeResponse.FromString
        )
        self._load()
        self._threads = [
            threading.Thread(target=run, daemon=True) for run in (self._run, self._call_back, self._report)
        ]
        for thread in self._threads:
            thread.start()

    # For the program.

    def wait(self, seconds):
        """(version, stale), or an error's text."""
        if wrong("wait-forever"):
            seconds = 1000
        with self._changed:
            self._changed.wait_for(lambda: self._settled or self._failure or self._closed, seconds)
            held = self._assembler.held
            if self._failure and not self._settled and not wrong("copy-settles-at-end"):
                return ": ".join(self._failure)
            if held is not None:
                return held.header.version, not self._settled and not wrong("cache-not-stale")
            return "no" if wrong("wait-says-nothing") else f"the deadline has passed: {self._why}"

    def current(self):
        with self._changed:
            held = self._assembler.held
            return (held.header.version if held else None), self._stale

    def close(self):
        if wrong("close-is-slow"):
            time.sleep(12)
        if wrong("close-leaves-stream"):
            return
        with self._changed:
            self._closed = True
            if self._call is not None:
                self._call.cancel()
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive() and not (wrong("close-leaves-callback") and thread is self._threads[1]):
                thread.join()
        self._channel.close()

    # The stream.

    def _run(self):
        while True:
            request = pb.WatchRequest(
                source=self._arguments.source,
                path_globs=[] if wrong("globs-unsent") else self._arguments.glob,
                resume_token="" if wrong("token-unsent") else self._assembler.token,
                mode=pb.WATCH_MODE_DELTA if self._arguments.mode == "delta" else pb.WATCH_MODE_SNAPSHOT,
                client_id="" if wrong("no-client-id") else "reference",
            )
            if wrong("no-mode"):
                request.mode = pb.WATCH_MODE_UNSPECIFIED
            request.heartbeat_interval.FromMilliseconds(round(self._arguments.heartbeat * 1000))
            self._assembler.begin_stream()
            code, text, asked = self._follow(request)
            with self._changed:
                if self._closed:
                    return
                fatal = code in FATAL and not wrong("nothing-is-fatal")
                for fault, also in (
                    ("cancelled-is-fatal", "CANCELLED"),
                    ("ok-is-fatal", "OK"),
                    ("exhausted-is-fatal", "RESOURCE_EXHAUSTED"),
                    ("garbage-is-fatal", "INTERNAL"),
                    ("gives-up", "UNAVAILABLE"),
                ):
                    fatal = fatal or (wrong(fault) and code == also)
                if fatal:
                    self._failure = (code, text)
                    self._changed.notify_all()
                    threading.Thread(target=self._end, args=(code,)).start()
                    return
                self._why = f"{code}: {text}"
                if wrong("copy-dropped-at-end"):
                    self._assembler.held = None
            delay = self._delay(asked)
            if code == "OK" and not wrong("ok-is-told"):
                code = "UNAVAILABLE"
            say("disconnected", code=code, retry_ms=round(delay * 1000))
            end = time.monotonic() + (0 if wrong("comes-back-at-once") else delay)
            while True:
                if not wrong("stale-only-with-stream"):
                    self._see_silence()
                with self._changed:
                    left = min(end - time.monotonic(), 0.05)
                    if left <= 0:
                        break
                    if not wrong("close-waits-for-backoff"):
                        if self._changed.wait_for(lambda: self._closed, left):
                            return
                        continue
                time.sleep(left)

    def _end(self, code):
        for thread in self._threads[1:]:
            thread.join(1)
        held = self._assembler.held is not None
        say("ended", code=code, stale=self._stale if wrong("fresh-after-end") else held)
        time.sleep(0.1)  # for what wait() prints
        os._exit(0)

    def _delay(self, asked):
        delay = self._bound * random.random()
        if wrong("no-jitter"):
            delay = self._bound
        elif wrong("half-jitter"):
            delay = self._bound * random.uniform(0.5, 1)
        elif wrong("backoff-too-long"):
            delay = self._bound * random.uniform(1, 3)
        self._bound = min(self._bound * 2, MOST_BACKOFF)
        if asked is None or wrong("retry-info-ignored"):
            return delay
        return max(delay, asked if wrong("retry-info-unbounded") else min(asked, MOST_RETRY_INFO))

    def _follow(self, request):
        """(code, text, seconds that the server asks to wait) of the stream's end."""
        call = self._open(request)
        messages = queue.Queue(maxsize=2)
        with self._changed:
            if self._closed:
                call.cancel()
            self._call = call
        if wrong("fresh-at-once"):
            self._see_fresh()
        reader = threading.Thread(target=self._read, args=(call, messages), daemon=True)
        reader.start()
        heard, reason = time.monotonic(), None
        while reason is None:
            try:
                message = messages.get(timeout=0.05)
            except queue.Empty:
                self._see_silence()
                if time.monotonic() - heard > self._silence and not wrong("silence-endured"):
                    reason = ("UNAVAILABLE", "the server is silent", None)
                continue
            if message is None:
                break
            heard = time.monotonic()
            try:
                self._take(pb.WatchResponse.FromString(message))
            except protobuf.DecodeError as error:
                log(f"it does not parse: {error}")
                reason = ("INTERNAL", "a message does not parse", None)
            except Nonsense as error:
                log(f"starting over: {error}")
                if not wrong("token-kept-after-lie"):
                    self._assembler.token = ""
                if wrong("copy-dropped-after-lie"):
                    self._assembler.held = None
                reason = ("DATA_LOSS", str(error), None)
        call.cancel()
        while reader.is_alive():
            try:
                messages.get(timeout=0.02)
            except queue.Empty:
                pass
        reader.join()
        return reason or self._ending(call)

    @staticmethod
    def _read(call, messages):
        try:
            for message in call:
                messages.put(message)
        except grpc.RpcError:
            pass
        messages.put(None)

    @staticmethod
    def _ending(call):
        asked = None
        for key, value in call.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                for detail in details_pb.RpcStatus.FromString(value).details:
                    if detail.type_url.endswith("google.rpc.RetryInfo"):
                        asked = details_pb.RetryInfo.FromString(detail.value).retry_delay.ToMilliseconds() / 1000
        return call.code().name, call.details() or "", asked

    def _take(self, message):
        if message.watch_id and not (wrong("reported-to-old-stream") and self._watch_id):
            self._watch_id = message.watch_id
        with self._changed:
            changed = self._assembler.take(message)
            kind = message.WhichOneof("event")
            if not (wrong("deaf-to-heartbeats") and kind == "heartbeat"):
                self._heard = time.monotonic()
            if kind in ("snapshot", "delta", "heartbeat") and not message.more_fragments:
                self._bound = self._bound if wrong("no-doubling-reset") else FIRST_BACKOFF
            if changed:
                held = self._assembler.held
                self._queue(held)
                if wrong("reported-before-callback") and held.view_digest in self._outcomes:
                    self._decision = (held.number, *self._outcomes[held.view_digest])
            settles = self._assembler.held is not None and message.header.version > 0 and not message.more_fragments
            if wrong("in-sync-by-heartbeats-only") and kind in ("source_status", None):
                settles = False
            if kind == "source_status" and not settles:
                self._why = "the source is WAITING: it has nothing valid yet"
            if (settles or (wrong("status-settles") and kind == "source_status")) and not wrong("never-settled"):
                self._settled = True
                self._see_fresh()
            self._due = True
            self._changed.notify_all()

    def _see_silence(self):
        if time.monotonic() - self._heard < self._silence or wrong("never-stale"):
            return
        with self._changed:
            if self._stale and not wrong("stale-again-and-again"):
                return
            if self._assembler.held is None and not wrong("nothing-is-stale"):
                return
            self._stale = True
            if wrong("copy-dropped-when-stale"):
                self._assembler.held = None
        say("stale")

    def _see_fresh(self):
        was, self._stale = self._stale, False
        if was and not wrong("never-fresh"):
            say("fresh")

    # Changes and outcomes.

    def _queue(self, held):
        if wrong("no-change"):
            return
        last, self._queued = self._queued, time.monotonic()
        if wrong("newest-lost") and self._queued - last < 1:  # whether one waits just then is a matter of load
            return
        if not wrong("every-change-waits"):
            self._waiting.clear()
        self._waiting.append(held)

    def _call_back(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                new = self._waiting.pop(0)
                old, self._delivered = self._delivered, new
            outcome, reason = pb.OUTCOME_APPLIED, ""
            if wrong("cache-before-callback"):
                self._save(new)
            try:
                self._callback(old, new)
            except ValueError as error:
                outcome, reason = pb.OUTCOME_REJECTED, str(error)
            if outcome == pb.OUTCOME_APPLIED or wrong("cache-of-rejected"):
                self._save(new)
            outcome = pb.OUTCOME_REJECTED if wrong("outcome-always-rejected") else outcome
            outcome = pb.OUTCOME_APPLIED if wrong("outcome-always-applied") else outcome
            with self._changed:
                self._decision = (new.number, outcome, reason)
                self._outcomes[new.view_digest] = (outcome, reason)
                self._due = True
                self._changed.notify_all()

    def _report(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or (self._due and self._decision and self._watch_id))
                if self._closed:
                    return
                self._due = False
                number, outcome, reason = self._decision
                held = self._assembler.held
                if held is None or held.number != number or wrong("not-reported"):
                    continue
                place = ("" if wrong("not-reported-again") else self._watch_id, number, held.header.version)
                if wrong("moved-unreported") and self._reported and place[:2] == self._reported[:2]:
                    continue
                if place == self._reported:
                    continue
            raw = reason.encode()
            while len(raw) > 1024 and not wrong("reason-not-cut"):
                reason = reason[:-1]
                raw = reason.encode()
            request = pb.ReportOutcomeRequest(watch_id=self._watch_id, version=place[2], outcome=outcome, reason=reason)
            try:
                self._send_report(request, timeout=5)
                self._reported = place
            except grpc.RpcError as error:
                self._reported = place if wrong("report-not-retried") else self._reported
                log(f"the report failed: {error}")
                if wrong("report-failure-is-fatal") and not self._closed:
                    self._end("UNKNOWN")
            if wrong("missed-while-reporting"):
                self._due = False

    # The copy on disk.

    def _path(self):
        if self._arguments.cache_dir is None:
            return None
        path = disk_copy.path_of(self._arguments.cache_dir, self._arguments.glob)
        if wrong("cache-name-by-order"):
            text = "".join(f"{glob}\n" for glob in self._arguments.glob)
            name = hashlib.sha256(text.encode()).hexdigest()[:16]
            path = os.path.join(self._arguments.cache_dir, f"{self._arguments.source}.{name}.snapshot")
        return path

    def _load(self):
        path = self._path()
        if path is None or wrong("cache-unread") or not os.path.exists(path):
            return
        right = os.path.isfile(path) and os.path.getsize(path) <= self._arguments.max_bytes + (1 << 26)
        if not right and not wrong("cache-of-anything"):
            log(f"the copy on disk {path} is no file, or too large, and left alone")
            return
        with open(path, "rb") as file:
            data = file.read()
        try:
            copy = pb.WatchResponse.FromString(data)
        except protobuf.DecodeError:
            copy = pb.WatchResponse()
        files = {file.path: file.content for file in copy.snapshot.files}
        right = copy.header.source == self._arguments.source and copy.snapshot.view_digest == view_digest_of(files)
        if not right and not wrong("cache-unchecked"):
            log(f"the copy on disk {path} is not what it says, and left alone")
            return
        missing = list(copy.snapshot.missing_globs)
        self._assembler.hold(copy.header, files, missing, from_cache=not wrong("not-from-cache"))
        self._assembler.token = "" if wrong("cache-without-token") else copy.header.resume_token
        if not wrong("cache-not-stale"):
            self._stale = True
            if not wrong("cache-stale-untold"):
                say("stale")
        self._settled = wrong("cache-settles")
        self._queue(self._assembler.held)

    def _save(self, held):
        path = self._path()
        if path is None or wrong("cache-unwritten") or held.from_cache:
            return
        copy = pb.WatchResponse(header=held.header)
        for name in sorted(held.files, key=lambda name: name.encode()):
            content = held.files[name]
            copy.snapshot.files.add(path=name, content=content, size_bytes=len(content), digest=digest_of(content))
        copy.snapshot.view_digest = held.view_digest
        copy.snapshot.missing_globs.extend(held.missing)
        with open(path + ".tmp", "wb") as file:
            os.fchmod(file.fileno(), 0o644 if wrong("cache-readable-by-all") else 0o600)
            file.write(copy.SerializeToString())
        os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--glob", action="append", default=[])
    parser.add_argument("--mode", choices=("snapshot", "delta"), default="delta")
    parser.add_argument("--heartbeat", type=float, default=30)
    parser.add_argument("--cache-dir")
    parser.add_argument("--max-bytes", type=int, default=1 << 30)
    parser.add_argument("--wait", type=float, default=30)
    parser.add_argument("--reject")
    parser.add_argument("--slow", type=float, default=0)
    arguments = parser.parse_args()

    def callback(old, new):
        say(
            "change",
            version=new.header.version,
            epoch=new.header.epoch,
            view_digest=new.view_digest,
            files={path: digest_of(content) for path, content in new.files.items()},
            old_version=old.header.version if old else None,
            from_cache=new.from_cache,
            missing_globs=new.missing,
        )
        time.sleep(arguments.slow / 1000)
        if arguments.reject and any(arguments.reject.encode() in content for content in new.files.values()):
            raise ValueError(f"rejected: {arguments.reject}")

    watch = Watch(arguments, callback)

    def settle():
        result = watch.wait(arguments.wait)
        if isinstance(result, str):
            say("wait_failed", message=result)
        else:
            say("settled", version=result[0], stale=result[1])

    threading.Thread(target=settle, daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "current":
            version, stale = watch.current()
            say("current", version=version, stale=stale)
        elif line.strip() == "close":
            break
    watch.close()
    say("closed")
    if wrong("close-leaves-stream"):
        # What a thread or a child that goes on would do to the stream.
        if os.fork() == 0:
            os.setsid()
            for descriptor in range(3):
                os.close(descriptor)
            time.sleep(15)
    os._exit(0)


if __name__ == "__main__":
    main()
