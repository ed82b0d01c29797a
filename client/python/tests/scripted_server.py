"""A server that does what a test tells it, and the messages that it sends."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

from confstream.internal.grpc_protocols_pb2 import RetryInfo, RpcStatus
from confstream.v1 import config_service_pb2 as pb

TIMEOUT = 30.0  # seconds; of everything that a test waits for, however busy the machine is
Files = dict[str, bytes]


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def view_digest(files: Files) -> str:
    return digest("".join(f"{digest(files[path])[7:]}  {path}\n" for path in sorted(files)).encode())


def header(version: int, epoch: str = "e1") -> pb.ResponseHeader:
    token = f"{epoch}/{version}" if version else ""
    return pb.ResponseHeader(source="demo", epoch=epoch, version=version, resume_token=token)


def config_file(path: str, content: bytes) -> pb.ConfigFile:
    return pb.ConfigFile(
        path=path,
        content=content,
        size_bytes=len(content),
        digest=digest(content),
        content_type="text/plain",
        last_changed_version=1,
    )


def snapshot(version: int, files: Files, epoch: str = "e1") -> pb.WatchResponse:
    message = pb.WatchResponse(header=header(version, epoch), in_sync=True)
    message.snapshot.view_digest = view_digest(files)
    message.snapshot.files.extend(config_file(path, files[path]) for path in sorted(files))
    return message


def delta(version: int, base: int, old: Files, new: Files, epoch: str = "e1") -> pb.WatchResponse:
    message = pb.WatchResponse(header=header(version, epoch), in_sync=True)
    message.delta.base_version = base
    message.delta.view_digest = view_digest(new)
    changed = sorted(path for path in new if old.get(path) != new[path])
    message.delta.changed_files.extend(config_file(path, new[path]) for path in changed)
    message.delta.removed_paths.extend(sorted(set(old) - set(new)))
    return message


def fragments(whole: pb.WatchResponse, most_bytes: int) -> list[pb.WatchResponse]:
    """A snapshot, cut into messages with at most so many bytes of content."""
    parts: list[pb.ConfigFile] = []
    for file in whole.snapshot.files:
        for offset in range(0, max(1, len(file.content)), most_bytes):
            part = pb.ConfigFile()
            part.CopyFrom(file)
            part.content = file.content[offset : offset + most_bytes]
            part.content_offset = offset
            parts.append(part)
    messages = []
    for part in parts:
        message = pb.WatchResponse(header=whole.header, more_fragments=True)
        message.snapshot.view_digest = whole.snapshot.view_digest
        message.snapshot.files.append(part)
        messages.append(message)
    messages[-1].more_fragments = False
    messages[-1].in_sync = True
    return messages


def heartbeat(version: int, epoch: str = "e1", in_sync: bool = True) -> pb.WatchResponse:
    return pb.WatchResponse(header=header(version, epoch), in_sync=in_sync, heartbeat=pb.Heartbeat())


class Stream:
    """A call of Watch."""

    def __init__(self, number: int, request: pb.WatchRequest, context: Any) -> None:
        self.watch_id = f"stream-{number}"
        self.request = request
        self.over = threading.Event()  # whoever ended it
        self._context = context
        self._first = True
        self._outbox: queue.Queue[pb.WatchResponse | bytes | tuple[grpc.StatusCode, str, float] | None]
        self._outbox = queue.Queue()
        if not context.add_callback(self._on_over):
            self._on_over()

    def send(self, *messages: pb.WatchResponse) -> None:
        for message in messages:
            if self._first:
                message.watch_id = self.watch_id
                self._first = False
            self._outbox.put(message)

    def send_raw(self, data: bytes) -> None:
        self._outbox.put(data)

    def end(self, code: grpc.StatusCode, details: str = "", retry_after: float = 0) -> None:
        self._outbox.put((code, details, retry_after))

    def run(self) -> Iterator[pb.WatchResponse | bytes]:
        while (item := self._outbox.get()) is not None:
            if isinstance(item, (pb.WatchResponse, bytes)):
                yield item
                continue
            code, details, retry_after = item
            if retry_after:
                self._context.set_trailing_metadata(_retry_info(code, retry_after))
            if code is not grpc.StatusCode.OK:
                self._context.abort(code, details)
            return

    def _on_over(self) -> None:
        self.over.set()
        self._outbox.put(None)


def _retry_info(code: grpc.StatusCode, seconds: float) -> tuple[tuple[str, bytes]]:
    info = RetryInfo()
    info.retry_delay.FromMilliseconds(round(seconds * 1000))
    status = RpcStatus(code=code.value[0])
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString())
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _serialized(message: pb.WatchResponse | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


class ScriptedServer:
    def __init__(self, address: str) -> None:
        self._streams: queue.Queue[Stream] = queue.Queue()
        self._count = 0
        self.reports: queue.Queue[pb.ReportOutcomeRequest] = queue.Queue()
        self.report_code = grpc.StatusCode.OK
        options = (("grpc.so_reuseport", 0),)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, pb.WatchRequest.FromString, _serialized),
            "ReportOutcome": grpc.unary_unary_rpc_method_handler(
                self._report_outcome,
                pb.ReportOutcomeRequest.FromString,
                pb.ReportOutcomeResponse.SerializeToString,
            ),
        }
        service = grpc.method_handlers_generic_handler("confstream.v1.ConfigService", handlers)
        self._server.add_generic_rpc_handlers((service,))
        port = self._server.add_insecure_port(address)
        self.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def next_stream(self) -> Stream:
        return self._streams.get(timeout=TIMEOUT)

    def no_stream(self, seconds: float) -> bool:
        """Whether nobody opens a stream for so long."""
        try:
            self._streams.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def next_report(self) -> pb.ReportOutcomeRequest:
        return self.reports.get(timeout=TIMEOUT)

    def _watch(self, request: pb.WatchRequest, context: Any) -> Iterator[pb.WatchResponse | bytes]:
        self._count += 1
        stream = Stream(self._count, request, context)
        self._streams.put(stream)
        return stream.run()

    def _report_outcome(self, request: pb.ReportOutcomeRequest, context: Any) -> pb.ReportOutcomeResponse:
        self.reports.put(request)
        if self.report_code is not grpc.StatusCode.OK:
            context.abort(self.report_code, "as the test has it")
        return pb.ReportOutcomeResponse()
