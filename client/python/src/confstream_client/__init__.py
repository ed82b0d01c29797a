"""Follow your configuration as Confstream serves it.

>>> with Client("127.0.0.1:50051") as client, client.watch("payments") as watch:
...     snapshot = watch.wait(10)
...     for change in watch:
...         print(change.new.version, list(change.new))

`confstream_client.aio` has the same for asyncio. The generated code is `confstream.v1`.
"""

from .client import Client, Watch
from .errors import ConfstreamError, WaitTimeout, WatchClosed, WatchEnded
from .snapshot import Change, File, Snapshot

__all__ = [
    "Change",
    "Client",
    "ConfstreamError",
    "File",
    "Snapshot",
    "WaitTimeout",
    "Watch",
    "WatchClosed",
    "WatchEnded",
]
