"""What the watches of threads and of asyncio have in common."""

from __future__ import annotations

import logging
from contextlib import suppress

from ._core import Note, WatchCore
from .errors import WatchEnded
from .snapshot import Snapshot

LOGGER = logging.getLogger("confstream_client")
LOGGER.addHandler(logging.NullHandler())


class BaseWatch:
    """What a watch says of itself, at any time, to any thread."""

    _core: WatchCore
    _logger: logging.Logger

    def current(self) -> Snapshot | None:
        """Return the newest complete snapshot, or None. Never blocks; answers after the end, too."""
        return self._core.held

    @property
    def stale(self) -> bool:
        """True while what is held may be out of date.

        It comes from disk, or nothing was heard for three heartbeats, and the server has not settled it since; or the
        watch has ended, or is closed, or was made by the process that this one was forked from.
        """
        core = self._core
        return core.stale or ((core.over() or core.is_forked()) and core.held is not None)

    @property
    def error(self) -> WatchEnded | None:
        """Why the watch has ended by itself; None if it has not."""
        ended = self._core.error
        return None if ended is None else WatchEnded(ended.code, ended.details)

    def _check_iterable(self) -> None:
        if self._core.has_callback:
            raise TypeError("the changes of this watch go to its callback: iterate over one without")

    def _log(self, notes: list[Note]) -> None:
        for note in notes:
            with suppress(Exception):  # as logging does with those of its own handlers: the watch goes on without it
                note.log_to(self._logger)
