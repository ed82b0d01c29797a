"""What a watch hands out: the files of one version, whole. All of it is immutable and may be shared by threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from confstream.v1.config_service_pb2 import ResponseHeader

_EARLIEST, _LATEST = -62_135_596_800, 253_402_214_400  # of datetime, in seconds; a day less


@dataclass(frozen=True)
class File:
    """One file of a snapshot."""

    path: str
    """Relative to the source, components separated by `/`."""
    content: bytes
    digest: str
    """`sha256:<hex>` of `content`."""
    content_type: str
    """By the file's name, such as `application/yaml`."""
    last_changed_version: int
    """The version in which this content was first published."""

    def text(self) -> str:
        """Return the content as text. Raises UnicodeDecodeError if it is not UTF-8."""
        return self.content.decode("utf-8")

    def json(self) -> Any:  # noqa: ANN401  (whatever the file has)
        """Return what the content says as JSON. Raises ValueError if it is none."""
        return json.loads(self.content)

    def yaml(self) -> Any:  # noqa: ANN401
        """Return what the content says as YAML: the plain values, as `yaml.safe_load` makes them.

        Needs the extra `confstream-client[yaml]`: ImportError without it. Raises yaml.YAMLError for other content.
        """
        import yaml

        return yaml.safe_load(self.content)


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot(Mapping[str, File]):
    """The files of a view from one version, by their paths, in byte order; checked against the server's digest.

    A Mapping: `snapshot["app.yaml"].text()`. Two are equal if their files are. It is always true, also without a file,
    so that `if watch.current():` asks whether there is one.
    """

    view_digest: str
    """`sha256:<hex>` over the files: of what `sha256sum` prints for them."""
    missing_globs: tuple[str, ...]
    """Those of the watch's globs that select no file."""
    _files: Mapping[str, File]
    _header: ResponseHeader
    _watch_id: str = ""  # the stream that delivered it, or confirmed it last; empty: it is from disk

    @property
    def source(self) -> str:
        """The name of the source."""
        return self._header.source

    @property
    def version(self) -> int:
        """The version. It moves on with versions that change nothing here, and compares within an epoch only."""
        return self._header.version

    @property
    def epoch(self) -> str:
        """The identity of the version history."""
        return self._header.epoch

    @property
    def publish_time(self) -> datetime:
        """When the version was published, by the server's clock."""
        time = self._header.publish_time
        if not _EARLIEST <= time.seconds <= _LATEST:
            return datetime.min.replace(tzinfo=timezone.utc)  # a server that says so knows no better
        return datetime.fromtimestamp(time.seconds, timezone.utc) + timedelta(microseconds=time.nanos // 1000)

    @property
    def rolled_back_to(self) -> int | None:
        """The version whose content an operator published again; None if this is what is mounted."""
        return self._header.rolled_back_to or None

    def __getitem__(self, path: str) -> File:
        return self._files[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<Snapshot of {self.source!r}, version {self.version}: {', '.join(self)}>"


@dataclass(frozen=True)
class Change:
    """A change of what a watch holds."""

    old: Snapshot | None
    """What the change before this one brought; None for the first."""
    new: Snapshot
    from_cache: bool = False
    """True: `new` is the copy from disk, and the server has not said yet whether it is current."""


def view_digest_of(files: Mapping[str, File]) -> str:
    """Return the digest over `files`, which are in byte order of their paths."""
    lines = hashlib.sha256()
    for path, file in files.items():
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")  # as sha256sum has it
        mark = "" if escaped == path else "\\"
        lines.update(f"{mark}{file.digest[len('sha256:') :]}  {escaped}\n".encode())
    return f"sha256:{lines.hexdigest()}"
