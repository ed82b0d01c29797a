"""The history of a test: a record of everything that was done to servers and seen of them, in one order.

recording.py writes it, checker.py judges it. Times are those of the machine's monotonic clock, in seconds, so that the
records of several processes compare. Records are flat, so that a line of JSON holds one.
"""

import dataclasses
import re
import time

CONTENT_KINDS = ("snapshot", "delta")  # kinds of messages that carry content


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    at: float = dataclasses.field(default_factory=time.monotonic)

    def __str__(self):
        """For people: without what is as usual."""
        usual = {field.name: field.default for field in dataclasses.fields(self) if field.name != "at"}
        told = {name: getattr(self, name) for name in usual}
        text = " ".join(f"{name}={value}" for name, value in told.items() if value != usual[name])
        return shorten(f"{self.at:.3f} {type(self).__name__} {text}")


def shorten(text):
    """Digests and ids are cut to what tells them apart."""
    return re.sub(r"(?:sha256:)?\b([0-9a-f]{8})[0-9a-f]{24,}", r"\1", text)


def record(cls):
    return dataclasses.dataclass(frozen=True, kw_only=True, slots=True)(cls)


@record
class Content(Record):
    """What a digest stands for."""

    digest: str
    files: dict  # path -> SHA-256 of its bytes as hex


# What the test does to the files of a source.


@record
class ChangeBegun(Record):
    """From now on the source may be found with the contents `valid`, in this order; `newest` is the last state.

    `newest` is empty if that is invalid, unreadable or not there; the source then goes into one of `states`.
    """

    source: str
    change: int
    what: str
    valid: tuple
    newest: str
    states: tuple = ("SERVING",)


@record
class ChangeEnded(Record):
    source: str
    change: int


# The life of servers. A run is one process, from its start to its end.


@record
class ServerStarted(Record):
    run: int
    sources: tuple
    recorded: bool = True  # it has a state_dir
    shutdown_seconds: float = 30.0  # within which it ends after SIGTERM
    stall_seconds: float = 60.0  # after which it ends a stream that is not read


@record
class ServerReady(Record):
    run: int


@record
class Configured(Record):
    """SIGHUP was answered: these are the sources now."""

    run: int
    sources: tuple


@record
class Signalled(Record):
    """Before the signal is sent."""

    run: int
    signal: str  # TERM, KILL, STOP, CONT or HUP


@record
class ServerEnded(Record):
    """After all of its log was read."""

    run: int
    code: int


@record
class HealthSeen(Record):
    run: int
    service: str
    status: str


@record
class Published(Record):
    """The log says so."""

    run: int
    source: str
    version: int
    digest: str
    origin: str  # FILES or ROLLBACK


@record
class Restored(Record):
    """The log says so."""

    run: int
    source: str
    version: int
    epoch: str


@record
class SourceSeen(Record):
    """What ListSources says."""

    run: int
    source: str
    epoch: str
    version: int
    digest: str
    state: str
    pin_version: int = 0
    violations: int = 0
    history: str = "RECORDED"
    recorded_version: int = 0


@record
class RollbackBegun(Record):
    source: str
    version: int


@record
class RollbackEnded(Record):
    """`new_version` is 0 if it was refused or not answered; then it may have happened or not if `unknown`."""

    source: str
    version: int
    new_version: int
    epoch: str = ""
    digest: str = ""
    persisted: bool = False
    unknown: bool = False


@record
class UnpinBegun(Record):
    source: str


@record
class UnpinEnded(Record):
    source: str
    done: bool
    persisted: bool = True


# What clients see. A stream is named by its client and a number; the server's watch_id is in its first message.


@record
class StreamOpened(Record):
    stream: str
    client: str
    run: int
    source: str
    globs: tuple = ()
    delta: bool = False
    every_version: bool = False
    heartbeat_seconds: float = 30.0  # 0: none
    min_update_seconds: float = 0.0
    resumes: bool = False  # it has a resume token
    token_epoch: str = ""  # what the token stands for, if that is known
    token_version: int = 0
    token_view: str = ""
    token_globs: tuple = ()


@record
class Received(Record):
    """A message: one of the fragments of a version, or one of another kind."""

    stream: str
    kind: str  # snapshot, delta, heartbeat or source_status
    epoch: str
    version: int
    digest: str = ""
    watch_id: str = ""
    reason: str = ""
    in_sync: bool = False
    skipped_versions: int = 0
    more_fragments: bool = False
    view_digest: str = ""  # as the message says
    held_digest: str = ""  # of what the client holds after it, computed
    base_version: int = 0
    state: str = ""


@record
class StreamEnded(Record):
    stream: str
    code: str
    reason: str = ""
    retry_seconds: float = 0.0
    asked: bool = False  # by the client
    sentence: str = ""


@record
class StreamFaulted(Record):
    """A message was not as the protocol has it."""

    stream: str
    sentence: str


@record
class ClientPaused(Record):
    """Its process is stopped, or it does not read: before that begins."""

    client: str


@record
class ClientResumed(Record):
    """After it reads again."""

    client: str


@record
class Reported(Record):
    """ReportOutcome was answered."""

    stream: str
    version: int
    outcome: str


@record
class WatcherSeen(Record):
    """A stream as ListWatchers has it."""

    run: int
    watch_id: str
    version: int
    in_sync: bool
    behind_seconds: float = 0.0
    report_version: int = 0
    report_outcome: str = ""


@record
class WatchersListed(Record):
    """All pages of ListWatchers were read: these were the streams. Follows their WatcherSeen."""

    run: int
    watch_ids: tuple


# What the test knows and measures.


@record
class QuietBegun(Record):
    """Nothing is changed from now on, nobody is paused."""


@record
class QuietEnded(Record):
    """As much time has passed as the last state may take to arrive."""


@record
class Sampled(Record):
    """What a server takes while nothing happens and always the same clients watch."""

    run: int
    resident_bytes: int
    descriptors: int
    threads: int
