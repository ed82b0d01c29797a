"""A Watch stream from the client's side, on a thread of its own."""

import dataclasses
import queue
import threading

import grpc

from confstream.internal import grpc_protocols_pb2
from confstream.v1 import config_service_pb2 as pb
from confstream.v1 import config_service_pb2_grpc
from records import Reported, StreamEnded, StreamFaulted, StreamOpened
from stream_reader import StreamReader, digest_of

DEADLINE = 60.0  # seconds


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
    # Of a call that this side has cancelled, gRPC keeps its own code beside the server's metadata, if they still came.
    if getattr(call, "cancelled", bool)():
        return ending
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


def opened_record(request, stream, run, held):
    """The record of a stream that is opened now. `held`: what its token stands for, if that is known."""
    seconds = {
        name: getattr(request, name).ToNanoseconds() / 1e9 if request.HasField(name) else default
        for name, default in (("heartbeat_interval", 30.0), ("min_update_interval", 0.0))
    }
    globs = tuple(sorted(request.path_globs))
    token = {}
    if request.resume_token and held is not None:
        token = {"token_epoch": held.header.epoch, "token_version": held.version, "token_globs": globs}
        token["token_view"] = digest_of(held.files)
    return StreamOpened(
        stream=stream,
        client=stream.partition("/")[0],
        run=run,
        source=request.source,
        globs=globs,
        delta=request.mode == pb.WATCH_MODE_DELTA,
        every_version=request.every_version,
        heartbeat_seconds=seconds["heartbeat_interval"],
        min_update_seconds=seconds["min_update_interval"],
        resumes=bool(request.resume_token),
        **token,
    )


class Watch:
    """A stream on a connection of its own. A thread reads it; next() and the like hand out its events in order.

    `held`, with a resume_token: the event that the token is from. `stream`, CLIENT/NUMBER, and `run` name it for
    `recorder`.
    """

    def __init__(
        self, address, channel_options=(), paused=False, held=None, recorder=None, stream="", run=0, **fields
    ):
        for name in ("heartbeat_interval", "min_update_interval"):
            if name in fields:
                seconds = fields.pop(name)
                fields[name] = {"seconds": int(seconds), "nanos": int(seconds % 1 * 1e9)}
        request = pb.WatchRequest(**fields)
        opened = opened_record(request, stream, run, held)
        self.events = []  # all so far
        self._stream = stream
        self._recorder = recorder
        if recorder is not None:
            recorder.add(opened)
        self._fresh = queue.Queue()
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1), *channel_options])
        self.call = config_service_pb2_grpc.ConfigServiceStub(self._channel).Watch(request)
        self._reader = StreamReader(request, opened, recorder, held)
        self._reads = threading.Event()
        self._reads.set()
        self._asked = False  # to end
        self._fault = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        if not paused:
            self.read()

    def read(self):
        """Begins to read a stream that was opened `paused`."""
        self._thread.start()

    def pause(self):
        """Reads no more, after the message under way."""
        self._reads.clear()

    def go_on(self):
        self._reads.set()

    def report(self, watch_id, version, outcome, reason=""):
        """ReportOutcome for this stream, over its connection. Raises grpc.RpcError."""
        request = pb.ReportOutcomeRequest(watch_id=watch_id, version=version, outcome=outcome, reason=reason)
        config_service_pb2_grpc.ConfigServiceStub(self._channel).ReportOutcome(request, timeout=DEADLINE)
        if self._recorder is not None:
            outcome = pb.Outcome.Name(outcome).removeprefix("OUTCOME_")
            self._recorder.add(Reported(stream=self._stream, version=version, outcome=outcome))

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

    def wait(self):
        """The next event, however long it takes; None if the stream has ended."""
        event = self._fresh.get()
        if event is None:
            self._fresh.put(None)
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

    def cancel(self):
        self._asked = True
        self.go_on()
        self.call.cancel()

    def close(self):
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._channel.close()
        if self._fault is not None:
            raise self._fault

    def _read(self):
        try:
            for message in self.call:
                event = self._reader.take(message)
                if event is not None:
                    self.events.append(event)
                    self._fresh.put(event)
                self._reads.wait()
        except grpc.RpcError:
            pass  # ending_of() tells
        except AssertionError as fault:
            self._fault = fault
            self.call.cancel()
        if self._recorder is not None:
            self._record_end()
        self._fresh.put(None)

    def _record_end(self):
        if self._fault is not None:
            self._recorder.add(StreamFaulted(stream=self._stream, sentence=str(self._fault)))
        ending = ending_of(self.call)
        self._recorder.add(
            StreamEnded(
                stream=self._stream,
                code=ending.code.name,
                reason=ending.reason,
                retry_seconds=ending.retry_seconds or 0.0,
                asked=self._asked or self._fault is not None,
                sentence=ending.message or "",
            )
        )
