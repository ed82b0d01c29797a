"""The scripted server: it takes calls, and answers each only as it is told."""

import dataclasses
import queue
import threading
import time
import uuid
from concurrent import futures

import grpc

from protocol import REPORT_OUTCOME, WATCH, details_pb, pb

_CODES = {code.name: code for code in grpc.StatusCode}
_END = object()


@dataclasses.dataclass
class Ending:
    """How a stream is to end. `code` CANCEL: by a reset of the stream, as ServerContext::TryCancel does."""

    code: str
    message: str = ""
    retry_after: float = None  # seconds, in a RetryInfo


class Stream:
    """A Watch call. Thread-safe."""

    def __init__(self, request, context):
        self.request = request
        self.watch_id = uuid.uuid4().hex
        self.arrived = time.monotonic()
        self.ended = None  # when the server ended it, or saw that the client had, by time.monotonic()
        self.over = threading.Event()  # the call has ended, whoever ended it
        self._first = True
        self._outbox = queue.Queue()
        if not context.add_callback(self._on_over):
            self._on_over()

    def send(self, message, unknown_fields=b""):
        """Sends a WatchResponse, and behind it bytes that this version of the protocol does not know."""
        if self._first:
            message.watch_id = self.watch_id
            self._first = False
        self._outbox.put(message.SerializeToString() + unknown_fields)

    def send_bytes(self, raw):
        """Sends a message that no server of this protocol sends."""
        self._outbox.put(raw)

    def end(self, ending):
        """Ends the call, after what was sent before."""
        self.ended = time.monotonic()
        self._outbox.put(ending)

    def outgoing(self):
        """What was sent, as it comes, up to an Ending, or None once the call is over."""
        while True:
            item = self._outbox.get()
            if item is _END:
                return
            yield item

    def _on_over(self):
        self.ended = self.ended or time.monotonic()
        self.over.set()
        self._outbox.put(_END)


@dataclasses.dataclass
class Report:
    request: object  # ReportOutcomeRequest
    arrived: float  # time.monotonic()


class ScriptedServer(grpc.GenericRpcHandler):
    """Listens on a Unix socket. Streams and reports arrive in queues, for the script that plays the server."""

    def __init__(self, socket_path, options=()):
        self.streams = queue.Queue()
        self.reports = queue.Queue()
        self._report_answer = "OK"  # the code by which reports are answered; HELD: they are not
        self._answer_changed = threading.Condition()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=128),
            handlers=(self,),
            options=[
                ("grpc.http2.min_ping_interval_without_data_ms", 5000),  # as the real one allows
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
                ("grpc.max_receive_message_length", 4 << 20),
                *options,
            ],
        )
        if not self._server.add_insecure_port(f"unix:{socket_path}"):
            raise OSError(f"cannot listen on {socket_path}")
        self._server.start()

    def stop(self):
        self.answer_reports("OK")
        self._server.stop(0).wait()

    def answer_reports(self, code):
        """By which code reports are answered from now on; HELD: not before the next call of this."""
        with self._answer_changed:
            self._report_answer = code
            self._answer_changed.notify_all()

    def service(self, call):
        # Messages leave as bytes, so that they may carry what this version of the protocol does not know.
        if call.method == WATCH:
            return grpc.unary_stream_rpc_method_handler(
                self._watch, pb.WatchRequest.FromString, response_serializer=None
            )
        if call.method == REPORT_OUTCOME:
            return grpc.unary_unary_rpc_method_handler(
                self._report,
                pb.ReportOutcomeRequest.FromString,
                pb.ReportOutcomeResponse.SerializeToString,
            )
        return None

    def _watch(self, request, context):
        stream = Stream(request, context)
        context.send_initial_metadata(())
        self.streams.put(stream)
        for item in stream.outgoing():
            if not isinstance(item, Ending):
                yield item
                continue
            if item.code == "OK":
                return
            if item.code == "CANCEL":
                context.cancel()
                return
            code = _CODES[item.code]
            if item.retry_after is not None:
                context.set_trailing_metadata(_retry_info(code, item))
            context.abort(code, item.message)

    def _report(self, request, context):
        self.reports.put(Report(request, time.monotonic()))
        with self._answer_changed:
            self._answer_changed.wait_for(lambda: self._report_answer != "HELD" or not context.is_active())
            answer = self._report_answer
        if answer != "OK":
            context.abort(_CODES[answer], "as the scenario has it")
        return pb.ReportOutcomeResponse()


def _retry_info(code, ending):
    info = details_pb.RetryInfo()
    info.retry_delay.FromMilliseconds(round(ending.retry_after * 1000))
    status = details_pb.RpcStatus(code=code.value[0], message=ending.message)
    # Packed as google.rpc.RetryInfo, which has the same fields.
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString())
    return (("grpc-status-details-bin", status.SerializeToString()),)
