"""How gRPC tells of the end of a call."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from google.protobuf.message import DecodeError

from confstream.internal.grpc_protocols_pb2 import RetryInfo, RpcStatus

from ._core import Ended
from .errors import ConfstreamError

_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
Metadata = Iterable[tuple[str, "str | bytes"]]


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
