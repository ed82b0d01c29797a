"""What one server promises over its life: from its start to its end, in one process."""

import bisect
import collections

import flatness


class RunRules:
    """Judges one run. Methods return [(number of the guarantee, sentence)].

    `view(digest, globs)` is the digest of a view, or None if the content is not known.
    """

    def __init__(self, started, view):
        self.started = started
        self.number = started.run
        self.sources = set(started.sources)
        self.served = {}  # source -> since when it is known to have content
        self.has_ended = False
        self._view = view
        self._removed = set()  # sources that were removed at some time
        self._expects_content = False  # a source was added that had none yet, and health waits for its first
        self._killed = False
        self._told_to_end = None  # when
        self._retries = []  # hints that streams ended with, seconds
        self._health = {}  # service -> what it was last
        self._log = collections.defaultdict(list)  # source -> (version, digest), as published
        self._digests = {}  # (source, version) -> digest; a number is used once, whatever the epoch
        self._first = {}  # source -> the first version of the run; those before it are another run's
        self._leaps = collections.defaultdict(list)  # source -> steps of streams that await the log
        self._samples = []

    def configured(self, sources):
        self._removed |= self.sources - set(sources)
        self._expects_content = not set(sources) <= self.sources | set(self.served)
        self.sources = set(sources)

    def signalled(self, signalled):
        if signalled.signal == "KILL":
            self._killed = True
        elif signalled.signal == "TERM":
            self._told_to_end = signalled.at

    def ended(self, ended):
        self.has_ended = True
        if self._killed:
            return []
        if self._told_to_end is None:
            return [(7, f"the server ended by itself with code {ended.code}")]
        broken = []
        seconds = ended.at - self._told_to_end
        if seconds > self.started.shutdown_seconds:
            broken.append((9, f"the server ended {seconds:.1f} s after SIGTERM"))
        if ended.code != 0:
            broken.append((9, f"the server ended with code {ended.code} after SIGTERM"))
        return broken

    def health(self, seen):
        before = self._health.get(seen.service)
        self._health[seen.service] = seen.status
        if seen.status == "SERVING":
            self._expects_content = False
        elif before == "SERVING" and not (self._told_to_end or self._killed or self._expects_content):
            return [(7, f"health of `{seen.service}` is {seen.status} while the server serves")]
        return []

    def restored(self, restored):
        self.served.setdefault(restored.source, restored.at)
        self._first.setdefault(restored.source, restored.version)

    def published(self, published):
        source, version, digest = published.source, published.version, published.digest
        self.served.setdefault(source, published.at)
        self._first.setdefault(source, version)
        log, broken = self._log[source], []
        if log and version <= log[-1][0]:
            return [(3, f"version {version} was published after {log[-1][0]}")]
        if log and digest == log[-1][1]:
            broken.append((5, f"version {version} has the content of the one before"))
        log.append((version, digest))
        return broken + self._same(source, version, digest) + self._judge_leaps(source)

    def version(self, source, message):
        """A stream was told of it."""
        self.served.setdefault(source, message.at)
        return self._same(source, message.version, message.digest)

    def _same(self, source, version, digest):
        known = self._digests.setdefault((source, version), digest)
        return [] if known == digest else [(2, f"version {version} has two contents, {known} and {digest}")]

    def nothing_served(self, opened, recorded):
        """A stream was told that there is no content."""
        since = self.served.get(opened.source)
        if (since is not None and since < opened.at) or (recorded and self.started.recorded):
            return [(7, f"the content of {opened.source} is gone")]
        return []

    def expect_skipped(self, stream, message):
        """A stream went from one content to the next; the log, when it comes, tells what lay between."""
        source = stream.opened.source
        self._leaps[source].append((stream.opened, stream.base, message, stream.skipped))
        return self._judge_leaps(source)

    def _judge_leaps(self, source):
        log, broken, waiting = self._log[source], [], []
        for leap in self._leaps[source]:
            if leap[1][0] < self._first.get(source, 0):
                continue  # through the versions of another run, of which some may be lost
            if log and log[-1][0] >= leap[2].version:
                broken += self._judge_leap(log, *leap)
            else:
                waiting.append(leap)
        self._leaps[source] = waiting
        return broken

    def _judge_leap(self, log, opened, base, message, skipped):
        begin = bisect.bisect_right(log, base[0], key=lambda entry: entry[0])
        end = bisect.bisect_right(log, message.version, key=lambda entry: entry[0])
        between = log[begin:end]
        if not between or between[-1][0] != message.version:
            return [(2, f"{opened.stream} was sent version {message.version}, which was never published")]
        views = [self._view(digest, opened.globs) for digest in [base[1]] + [digest for _, digest in between]]
        if None in views:
            return []
        changes = sum(before != after for before, after in zip(views, views[1:]))
        if opened.every_version and changes != 1:
            return [(3, f"{opened.stream} wants every version and lacks {changes - 1} before {message.version}")]
        if not opened.every_version and skipped != changes - 1:
            return [(3, f"{opened.stream}: skipped_versions is {skipped}, not {changes - 1}, at {message.version}")]
        return []

    def stream_ended(self, stream, ended):
        if ended.asked or self._killed:
            return []
        name, code = ended.stream, ended.code
        if code == "NOT_FOUND":
            source = stream.opened.source
            known = source in self.sources and source not in self._removed
            return [(9, f"{name} ended with NOT_FOUND, and {source} is there")] if known else []
        if stream.opened.every_version and code in ("OUT_OF_RANGE", "RESOURCE_EXHAUSTED"):
            return []
        if self._told_to_end is not None:
            if stream.last is None or stream.was_paused:
                return []
            if (code, ended.reason) != ("UNAVAILABLE", "DRAINING") or ended.retry_seconds <= 0:
                told = f"{code} {ended.reason} {ended.retry_seconds} ({ended.sentence})"
                return [(9, f"{name} ended with {told} at SIGTERM")]
            self._retries.append(ended.retry_seconds)
            return []
        stalled = stream.was_paused and code == "CANCELLED"
        never_open = stream.last is None and code == "UNAVAILABLE"
        if stalled or never_open:
            return []
        return [(4, f"{name} ended with {code} {ended.reason} ({ended.sentence}); nobody asked for it")]

    def stream_is_open(self, stream):
        """It is open when all has come to rest."""
        name = stream.opened.stream
        if self.has_ended and not stream.paused:
            return [(9, f"{name} is open after its server has ended")]
        if stream.opened.source not in self.sources:
            return [(9, f"{name} is open after its source was removed")]
        return []

    def sampled(self, sampled):
        self._samples.append(sampled)
        return []

    def finish(self):
        """Nothing more is recorded of the run."""
        broken = [(6, sentence) for sentence in flatness.growing(self._samples)]
        if self._told_to_end is not None and not self._killed:
            if len(self._retries) >= 5 and len(set(self._retries)) == 1:
                broken.append((9, f"all streams are to come back after the same {self._retries[0]} s"))
            for service, status in self._health.items():
                if status != "NOT_SERVING":
                    broken.append((9, f"health of `{service}` was {status} to the end"))
        for source, leaps in self._leaps.items():
            broken += self._judge_leaps(source)
            for opened, _, message, _ in self._leaps[source] if self.has_ended else ():
                broken.append((2, f"{opened.stream} was sent version {message.version}, which was never published"))
        return broken
