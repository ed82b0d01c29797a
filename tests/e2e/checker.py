"""The history checker: reads the history of a test and says which guarantee of docs/api.md broke.

What concerns one stream alone is in stream_rules.py, one source in source_rules.py, one server in run_rules.py; here is
what takes several of them. What ListWatchers says wrongly breaks guarantee 7: it is not visible what is the case.

As a program it checks a history that a soak has kept: checker.py FILE.
"""

import collections
import dataclasses
import sys

import records
from recording import from_line, tree_digest
from run_rules import RunRules
from source_rules import SourceRules
from stream_rules import StreamRules
from views import selects

CONTEXT = 12  # records shown before and after what broke
MOST_BROKEN = 50  # what comes after that is seldom news
LATE_SECONDS = 6.0  # a busy machine may be later than a time limit by this


@dataclasses.dataclass
class Broken:
    guarantee: int  # its number
    sentence: str
    record: records.Record  # with which it was noticed
    before: list  # records about the same source, or about servers
    after: list = dataclasses.field(default_factory=list)

    def __str__(self):
        lines = [f"guarantee {self.guarantee} is broken: {records.shorten(self.sentence)}"]
        lines += [f"    {each}" for each in self.before]
        lines += [f"  > {self.record}"]
        lines += [f"    {each}" for each in self.after]
        return "\n".join(lines)


def check(history):
    """Returns what is Broken in these records, in order."""
    checker = Checker()
    for record in history:
        checker.take(record)
    return checker.finish()


class Stream:
    def __init__(self, opened, run, paused):
        self.opened = opened
        self.run = run
        self.rules = StreamRules(opened)
        self.was_paused = paused
        self.paused = paused
        self.ended = False
        self.watch_id = ""
        self.last = None  # the last message that is complete
        self.base = None  # (version, digest) of the last content, or of the heartbeat that settled
        self.held = opened.token_view  # digest of its view
        self.skipped = 0  # of the version under way
        self.report = (0, "")


class Checker:
    """check() for records that come one by one. Keeps what later ones are judged by, not the records."""

    def __init__(self):
        self.broken = []
        self._contents = {}  # digest -> path -> SHA-256
        self._views = {}  # (digest, globs) -> digest of the view
        self._sources = collections.defaultdict(SourceRules)
        self._runs = {}
        self._run = None  # the last one
        self._streams = {}  # those that are open, and those that ended since the last quiet
        self._by_watch_id = {}
        self._paused = set()  # clients
        self._newest = {}  # (source, epoch) -> when the newest version known went up: [(at, version)]
        # By source, with what concerns all of them; and under "" everything.
        self._recent = collections.defaultdict(lambda: collections.deque(maxlen=CONTEXT))
        self._quiet = False

    def take(self, record):
        if isinstance(record, records.Content):
            self._contents[record.digest] = record.files
            return
        topic = self._topic(record)
        for broken in self.broken:
            if len(broken.after) < CONTEXT and topic in ("", self._topic(broken.record)):
                broken.after.append(record)
        for guarantee, sentence, *about in getattr(self, "_on_" + type(record).__name__)(record) or ():
            if len(self.broken) < MOST_BROKEN:
                self.broken.append(Broken(guarantee, sentence, record, list(self._recent[about[0] if about else topic])))
        if self._quiet and isinstance(record, (records.SourceSeen, records.WatcherSeen, records.WatchersListed)):
            return  # many, and what they tell is in the sentence
        for about in {topic, ""} if topic else list(self._recent):
            self._recent[about].append(record)

    def finish(self):
        """No more records come. Returns what is broken."""
        end = records.QuietEnded()
        for run in self._runs.values():
            self.broken += [Broken(number, sentence, end, []) for number, sentence in run.finish()]
        return self.broken

    def _topic(self, record):
        """The source that the record is about, or nothing."""
        if hasattr(record, "stream"):
            stream = self._streams.get(record.stream)
            return record.source if hasattr(record, "source") else stream.opened.source if stream else ""
        return getattr(record, "source", "")

    # Files and operators.

    def _on_ChangeBegun(self, begun):
        self._sources[begun.source].changes(begun)

    def _on_ChangeEnded(self, ended):
        pass

    def _on_RollbackBegun(self, begun):
        self._sources[begun.source].rollback_begins()

    def _on_RollbackEnded(self, ended):
        return self._sources[ended.source].rolled_back(ended)

    def _on_UnpinBegun(self, begun):
        self._sources[begun.source].unpin_begins()

    def _on_UnpinEnded(self, ended):
        self._sources[ended.source].unpinned(ended)

    # Servers.

    def _on_ServerStarted(self, started):
        self._run = self._runs[started.run] = RunRules(started, self._view)
        for source in self._sources.values():
            source.server_started(started.recorded)

    def _on_ServerReady(self, ready):
        pass

    def _on_Configured(self, configured):
        self._runs[configured.run].configured(configured.sources)

    def _on_Signalled(self, signalled):
        self._runs[signalled.run].signalled(signalled)

    def _on_ServerEnded(self, ended):
        for source in self._sources.values():
            source.server_ended()
        return self._runs[ended.run].ended(ended)

    def _on_HealthSeen(self, seen):
        return self._runs[seen.run].health(seen)

    def _on_Published(self, published):
        broken = self._sources[published.source].published(published)
        return broken + self._runs[published.run].published(published)

    def _on_Restored(self, restored):
        self._runs[restored.run].restored(restored)

    def _on_SourceSeen(self, seen):
        run = self._runs[seen.run]
        broken = self._sources[seen.source].see(seen)
        if not seen.version and (seen.source in run.served or self._sources[seen.source].recorded):
            broken.append((7, f"nothing is served any more: {seen.state}"))
        return broken

    def _on_WatcherSeen(self, seen):
        stream = self._by_watch_id.get(seen.watch_id)
        if stream is None or stream.ended:
            return
        # At other times, a message may come between the answer and its record.
        if self._quiet and stream.last is not None and seen.version < stream.last.version:
            yield 7, f"ListWatchers has a stream at {seen.version} that was sent {stream.last.version}"
        if (seen.report_version, seen.report_outcome) != stream.report:
            yield 7, f"ListWatchers has another report than {stream.report}"
        if stream.paused and seen.behind_seconds > stream.run.started.stall_seconds + LATE_SECONDS:
            yield 6, f"a stream that is not read is open after {seen.behind_seconds:.0f} s"

    def _on_WatchersListed(self, listed):
        if not self._quiet:
            return
        for stream in self._open():
            if stream.run.number == listed.run and stream.last is not None:
                times = listed.watch_ids.count(stream.watch_id)
                if times != 1:
                    yield 7, f"ListWatchers has {stream.opened.stream} {times} times"

    def _on_Sampled(self, sampled):
        return self._runs[sampled.run].sampled(sampled)

    # Streams.

    def _on_StreamOpened(self, opened):
        paused = opened.client in self._paused
        self._streams[opened.stream] = Stream(opened, self._runs[opened.run], paused)

    def _on_ClientPaused(self, paused):
        self._paused.add(paused.client)
        for stream in self._streams.values():
            if stream.opened.client == paused.client:
                stream.paused = stream.was_paused = True

    def _on_ClientResumed(self, resumed):
        self._paused.discard(resumed.client)
        for stream in self._streams.values():
            if stream.opened.client == resumed.client:
                stream.paused = False

    def _on_Received(self, message):
        stream = self._streams[message.stream]
        if message.watch_id:
            stream.watch_id = message.watch_id
            self._by_watch_id[message.watch_id] = stream
        stream.skipped = stream.skipped or message.skipped_versions
        broken = stream.rules.take(message)
        if message.more_fragments:
            return broken
        if message.version:
            broken += self._check_version(stream, message)
        else:
            broken += stream.run.nothing_served(stream.opened, self._sources[stream.opened.source].recorded)
        if message.kind in records.CONTENT_KINDS:
            wrong = self._check_view(stream, message)
            # The rules of the stream may have called the same thing by another number.
            broken = [each for each in broken if not wrong or each[0] != 2] + wrong
            if stream.base is not None and stream.base[0] < message.version:
                broken += stream.run.expect_skipped(stream, message)
            stream.base, stream.held, stream.skipped = (message.version, message.digest), message.view_digest, 0
        elif stream.base is None and message.version and message.in_sync:
            broken += self._check_settled(stream, message)
            stream.base = (message.version, message.digest)
        stream.last = message
        return broken

    def _check_version(self, stream, message):
        """What other streams were told of this version, and of newer ones, before this one was opened."""
        opened = stream.opened
        broken = self._sources[opened.source].version(message.epoch, message.version, message.digest)
        broken += stream.run.version(opened.source, message)
        newest = self._newest.setdefault((opened.source, message.epoch), [])
        if stream.last is None and not opened.every_version:
            before = next((version for at, version in reversed(newest) if at < opened.at), 0)
            if message.version < before:
                broken.append((1, f"the first answer is version {message.version}; {before} was sent before"))
        if not newest or newest[-1][1] < message.version:
            newest.append((message.at, message.version))
        return broken

    def _check_view(self, stream, message):
        expected = self._view(message.digest, stream.opened.globs)
        if expected in (None, message.held_digest):
            return []
        held, wanted = self._contents.get(message.held_digest, {}), self._contents[message.digest]
        gone = sorted(path for path in held if path not in wanted)
        if gone:
            return [(5, f"the deletion of {gone} was not told with version {message.version}")]
        return [(2, f"a client holds other content than version {message.version} has in its view")]

    def _check_settled(self, stream, message):
        opened = stream.opened
        view = self._view(message.digest, opened.globs)
        if view is None:
            return []
        stream.held = view
        if opened.token_epoch and opened.token_globs == opened.globs and view != opened.token_view:
            return [(1, f"a client that holds other content was told to be in sync with version {message.version}")]
        return []

    def _on_StreamFaulted(self, faulted):
        return [(2, faulted.sentence)]

    def _on_StreamEnded(self, ended):
        stream = self._streams[ended.stream]
        stream.ended = True
        return stream.run.stream_ended(stream, ended)

    def _on_Reported(self, reported):
        self._streams[reported.stream].report = (reported.version, reported.outcome)

    # Quiet.

    def _on_QuietBegun(self, begun):
        self._quiet = True
        for source in self._sources.values():
            source.seen = None

    def _on_QuietEnded(self, ended):
        broken = self.unsettled()
        self._quiet = False
        for source in self._served():
            self._sources[source].rests()
        self._streams = {name: stream for name, stream in self._streams.items() if not stream.ended}
        self._by_watch_id = {stream.watch_id: stream for stream in self._open()}
        for run in list(self._runs.values()):
            if run.has_ended:
                broken += run.finish()
                del self._runs[run.number]
        return broken

    def unsettled(self):
        """What would be broken if quiet ended now: [(number of the guarantee, sentence, source if it is about one)]."""
        broken = []
        for name in self._served():
            wrong, expected = self._sources[name].judge_rest()
            broken += [(number, f"{name}: {sentence}", name) for number, sentence in wrong]
            for stream in self._open():
                if stream.opened.source == name and stream.run is self._run and not stream.paused:
                    broken += self._check_rest(stream, expected)
        for stream in self._open():
            broken += stream.run.stream_is_open(stream)
        return broken

    def watching(self):
        """Names of the clients that have a stream from the last server, and were answered."""
        return {stream.opened.client for stream in self._open() if stream.run is self._run and stream.last is not None}

    def _served(self):
        return [name for name in self._sources if self._run is not None and name in self._run.sources]

    def _check_rest(self, stream, expected):
        view = self._view(expected, stream.opened.globs) if expected else None
        if view is not None and stream.held != view:
            at = stream.last.version if stream.last is not None else 0
            sentence = f"{stream.opened.stream} ends at version {at}, and not with the content of {expected}"
            return [(4, sentence, stream.opened.source)]
        return []

    def _open(self):
        return [stream for stream in self._streams.values() if not stream.ended]

    def _view(self, digest, globs):
        """Digest of the view of a content; None if its files are not known."""
        files = self._contents.get(digest)
        if files is None:
            return None
        key = (digest, globs)
        if key not in self._views:
            self._views[key] = tree_digest({path: files[path] for path in files if selects(globs, path)})
        return self._views[key]


def main(path):
    with open(path, encoding="utf-8") as file:
        broken = check(map(from_line, file))
    for each in broken:
        print(each)
    print(f"{len(broken)} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
