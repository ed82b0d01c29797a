"""What a program may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from confstream_client import Client
from confstream_client._options import channel_target


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"source": ""}, ValueError),
        ({"globs": "*.yaml"}, TypeError),
        ({"mode": "whole"}, ValueError),
        ({"heartbeat": 0.9}, ValueError),
        ({"heartbeat": 3601}, ValueError),
        ({"min_update_interval": -1}, ValueError),
        ({"min_update_interval": 3601}, ValueError),
        ({"max_bytes": 0}, ValueError),
        ({"source": "../demo", "cache_dir": "cache"}, ValueError),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], error: type[Exception]) -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(error):
        client.watch(**{"source": "demo", **options})


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("127.0.0.1:50051", "dns:///127.0.0.1:50051"),
        ("server.example:1", "dns:///server.example:1"),
        ("[::1]:65535", "dns:///[::1]:65535"),
        ("unix:/run/confstream.sock", "unix:/run/confstream.sock"),
        ("unix:relative", "unix:relative"),
    ],
)
def test_addresses(address: str, target: str) -> None:
    assert channel_target(address) == target


@pytest.mark.parametrize(
    "address",
    [
        "",
        "host",
        "host:",
        ":1",
        "host:0",
        "host:65536",
        "host:http",
        "::1:1",
        "http://host:1",
        "unix:",
        "a b:1",
    ],
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="server address"):
        Client(address)
