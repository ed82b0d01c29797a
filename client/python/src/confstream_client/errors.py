"""What a watch may fail with."""

from __future__ import annotations

import grpc


class ConfstreamError(Exception):
    """The base of all errors of this package."""


class WaitTimeout(ConfstreamError, TimeoutError):  # noqa: N818  (a TimeoutError, as callers know it)
    """`wait` found no snapshot in time; the text says what kept the client waiting."""


class WatchClosed(ConfstreamError):  # noqa: N818
    """`wait` was called on a watch that its program had closed."""


class WatchEnded(ConfstreamError):  # noqa: N818
    """The server ended the watch with a status that trying again does not change.

    `code` is the status, such as NOT_FOUND for a source that does not exist; `details` its text.
    """

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details
