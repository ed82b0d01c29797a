"""How gRPC tells of the end of a call."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError

from confstream.internal.grpc_protocols_pb2 import RetryInfo, RpcStatus
from confstream.v1.config_service_pb2 import WatchResponse

from ._core import Ended
from .errors import ConfstreamError

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
Metadata = Iterable[tuple[str, "str | bytes"]]

WATCH = "/confstream.v1.ConfigService/Watch"


def message_of(serialized: bytes) -> WatchResponse | Ended:
    """Return the message of a stream, which is to be cancelled if that is none.

    For gRPC to call in place of the generated one: to fail would end the call here, and leave it open at the server.
    """
    try:
        return WatchResponse.FromString(serialized)
    except Exception as error:  # which one depends on the implementation of protobuf
        return Ended(grpc.StatusCode.INTERNAL, f"what the server sent is no message: {error}")


def failed_with(error: Exception) -> Ended:
    """Return the end of a stream that the client could not open, or go on with."""
    return Ended(grpc.StatusCode.UNAVAILABLE, f"the client failed: {error!r}")


def ended_with(code: grpc.StatusCode | None, details: str | None, metadata: Metadata | None) -> Ended:
    """Return the end of a call with this status and this trailing metadata."""
    code = code or grpc.StatusCode.UNKNOWN
    if code is grpc.StatusCode.OK:
        return Ended(grpc.StatusCode.UNAVAILABLE, "the server ended the stream", 0.0)
    return Ended(code, details or "", _retry_after(metadata or ()))


def failure_of(code: grpc.StatusCode | None, details: str | None) -> ConfstreamError | None:
    """Return what a call with this status failed with; None for OK."""
    if code is grpc.StatusCode.OK:
        return None
    return ConfstreamError(f"{(code or grpc.StatusCode.UNKNOWN).name}: {details}")


def _retry_after(metadata: Metadata) -> float:
    """Return the seconds of the server's RetryInfo; 0 without one."""
    for key, value in metadata:
        if key != "grpc-status-details-bin" or not isinstance(value, bytes):
            continue
        try:
            for detail in RpcStatus.FromString(value).details:
                if detail.type_url == _RETRY_INFO:
                    delay = RetryInfo.FromString(detail.value).retry_delay
                    return max(0.0, delay.seconds + delay.nanos / 1e9)
        except DecodeError:
            pass  # a hint that cannot be read is none
    return 0.0
