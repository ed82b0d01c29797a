"""What a program asks for, checked, and as the server is asked for it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from confstream.v1 import config_service_pb2 as pb

Mode = Literal["delta", "snapshot"]
ChannelOptions = Iterable[tuple[str, Any]]

_MODES = {"delta": pb.WATCH_MODE_DELTA, "snapshot": pb.WATCH_MODE_SNAPSHOT}

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 64 << 20),  # of itself, gRPC takes 4 MiB
    ("grpc.keepalive_time_ms", 20_000),  # servers allow a ping every 10 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),  # without it, grpcio 1.85 waits a minute for the answer to a ping
    ("grpc.http2.max_pings_without_data", 0),
    # When to try again is for the watch to decide. The channel's own backoff comes on top of it: it is short.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long an attempt may take
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Channels to one address otherwise share their backoff, and a new one would inherit it.
    ("grpc.use_local_subchannel_pool", 1),
    # The server is on this node or this network: http_proxy is not meant for it.
    ("grpc.enable_http_proxy", 0),
]


@dataclass(frozen=True)
class WatchOptions:
    """The options of a watch."""

    request: pb.WatchRequest
    heartbeat: float
    cache_dir: Path | None
    max_bytes: int

    @classmethod
    def of(
        cls,
        source: str,
        globs: Iterable[str],
        mode: Mode,
        heartbeat: float,
        min_update_interval: float | None,
        client_id: str | None,
        labels: Mapping[str, str] | None,
        cache_dir: str | os.PathLike[str] | None,
        max_bytes: int,
    ) -> WatchOptions:
        """Check what the program gave. Raises ValueError and TypeError."""
        if not source:
            raise ValueError("source is empty: name the source to watch")
        if isinstance(globs, str):
            raise TypeError(f"globs is one text: give a list, [{globs!r}]")
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}: it is 'delta' or 'snapshot'")
        if not 1 <= heartbeat <= 3600:
            raise ValueError(f"heartbeat is {heartbeat} s: it is from 1 s to 1 h")
        if not 0 <= (min_update_interval or 0) <= 3600:
            raise ValueError(f"min_update_interval is {min_update_interval} s: it is at most 1 h")
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}: it is at least 1")
        if cache_dir is not None and re.search(r"[/\0]", source):
            raise ValueError(f"source {source!r} cannot be the name of a file in cache_dir")
        request = pb.WatchRequest(
            source=source,
            path_globs=globs,
            mode=_MODES[mode],
            client_id=_program_name() if client_id is None else client_id,
            labels=labels or {},
        )
        request.heartbeat_interval.FromMicroseconds(round(heartbeat * 1e6))
        if min_update_interval:
            request.min_update_interval.FromMicroseconds(round(min_update_interval * 1e6))
        return cls(request, heartbeat, None if cache_dir is None else Path(cache_dir), max_bytes)


def channel_target(address: str) -> str:
    """Return `address` as gRPC takes it. Raises ValueError if it is neither host:port nor unix:PATH."""
    if re.fullmatch(r"unix:[^\0-\x1f]+", address):
        return address
    found = re.fullmatch(r"(?:[^\s/:\[\]]+|\[[^\s/\[\]]+\]):(\d{1,5})", address)
    if found and 0 < int(found[1]) < 65536:
        return f"dns:///{address}"  # with its scheme, so that no host name is taken for one
    raise ValueError(
        f"the server address {address!r} is neither host:port, such as 127.0.0.1:50051 or [::1]:50051, nor unix:PATH"
    )


def options_of_channel(own: ChannelOptions) -> list[tuple[str, Any]]:
    """Return the options of a channel: the program's own, and the others of this package."""
    return list({**dict(CHANNEL_OPTIONS), **dict(own)}.items())  # each once: of two, gRPC takes the first


def _program_name() -> str:
    path = Path(sys.argv[0] if sys.argv else "")
    name = path.parent.name if path.name == "__main__.py" else path.name
    printable = "".join(c for c in name if c.isprintable()).encode("utf-8", "replace")
    return printable[:256].decode("utf-8", "ignore") or "python"
