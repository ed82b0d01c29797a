"""What one source should serve, by what was done to its files and what operators asked for."""

import bisect
import enum


class Pinned(enum.Enum):
    NO = "no"
    YES = "yes"
    PERHAPS = "perhaps"  # the change that would end the pin is under way, or the call was not answered


class SourceRules:
    """Judges what is told of one source, over all servers. Methods return [(number of the guarantee, sentence)]."""

    def __init__(self):
        self.newest = ""  # digest of what the files are now; empty: nothing valid
        self.states = ("SERVING",)  # it should be in one of these
        self.versions = {}  # (epoch, version) -> digest
        self.seen = None  # the last SourceSeen since quiet began
        self.recorded = False  # a version of it was on disk
        self.served = ""  # digest of what was served last
        self._what = ""  # was done to it last
        self._valid = {}  # digest -> which changes made it, ascending
        self._changes = 0
        self._read = 0  # the change whose content was published last
        self._at_rest = False  # all that was done was also seen
        self._pinned = Pinned.NO
        self._before_rollback = (Pinned.NO, "")  # and what was served
        self._rollback = None  # the RollbackEnded that pinned it
        self._end_recorded = True  # the end of the last pin is on disk
        self._replaced = ""  # digest of what the rollback replaced
        self._held_off = set()  # digests that do not end the pin

    def changes(self, begun):
        self.newest, self.states, self._what = begun.newest, begun.states, begun.what
        self._at_rest = False
        for digest in begun.valid:
            self._changes += 1
            self._valid.setdefault(digest, []).append(self._changes)
        if self._pinned is Pinned.YES and not self._held_off.issuperset(begun.valid):
            self._pinned, self._end_recorded = Pinned.PERHAPS, False

    def version(self, epoch, version, digest):
        """Somebody was told that the version has this content."""
        known = self.versions.setdefault((epoch, version), digest)
        if known != digest:
            return [(2, f"version {version} of epoch {epoch} has two contents, {known} and {digest}")]
        if digest not in self._valid:
            return [(2, f"version {version} has content that was never there, or is invalid: {digest}")]
        return []

    def published(self, published):
        broken = []
        self.served = published.digest
        made_by = self._valid.get(published.digest)
        if made_by is None:
            broken.append((2, f"published what was never there, or is invalid: {published.digest}"))
        elif published.origin == "FILES":
            if self._pinned is Pinned.YES:
                broken.append((8, f"published other content while pinned to version {self._rollback.version}"))
            index = bisect.bisect_left(made_by, self._read)
            if index == len(made_by):
                broken.append((3, f"published {published.digest}, which was replaced before what was published last"))
            else:
                self._read = made_by[index]
        return broken

    def rollback_begins(self):
        self._before_rollback, self._pinned = (self._pinned, self.served), Pinned.PERHAPS

    def rolled_back(self, ended):
        (before, replaced), broken = self._before_rollback, []
        if ended.new_version:
            old = self.versions.get((ended.epoch, ended.version), ended.digest)
            if old != ended.digest:
                broken.append((8, f"rollback to version {ended.version} published {ended.digest} instead of {old}"))
            broken += self.version(ended.epoch, ended.new_version, ended.digest)
            self._rollback = ended
            if self._at_rest:
                self._pinned = Pinned.YES
                if before is not Pinned.YES:
                    self._replaced = replaced
                self._held_off = {self._replaced, self.newest} - {""}
            self.served = ended.digest
        elif before is Pinned.NO and not ended.unknown:
            self._pinned = Pinned.NO
        elif self._at_rest and not ended.unknown:
            self._pinned = before
        return broken

    def unpin_begins(self):
        if self._pinned is not Pinned.NO:
            self._pinned, self._end_recorded = Pinned.PERHAPS, False

    def unpinned(self, ended):
        if ended.done:
            self._pinned = Pinned.NO
            self._end_recorded = self._end_recorded or ended.persisted

    def server_ended(self):
        """A pin that was not on disk may be lost, and one whose end was not may come back."""
        persisted = {Pinned.YES: self._rollback and self._rollback.persisted, Pinned.NO: self._end_recorded}
        if not persisted.get(self._pinned, True):
            self._pinned = Pinned.PERHAPS

    def server_started(self, recorded):
        self._at_rest = False
        if not recorded:
            self._pinned = Pinned.NO
            self.recorded = False

    def see(self, seen):
        """ListSources said so."""
        self.seen = seen
        self.recorded = self.recorded or seen.recorded_version > 0
        if not seen.pin_version and seen.history == "RECORDED" and seen.recorded_version == seen.version:
            self._end_recorded = True
        broken = self.version(seen.epoch, seen.version, seen.digest) if seen.version else []
        pinned = self.versions.get((seen.epoch, seen.pin_version), seen.digest)
        if seen.pin_version and seen.digest != pinned:
            broken.append((8, f"{seen.digest} is served while pinned to version {seen.pin_version}, which is {pinned}"))
        if self._pinned is Pinned.YES:
            rollback = self._rollback
            if (seen.pin_version, seen.digest) != (rollback.version, rollback.digest):
                broken.append((8, f"the pin to version {rollback.version} does not hold: {seen}"))
        elif self._pinned is Pinned.NO and seen.pin_version:
            broken.append((8, f"pinned to version {seen.pin_version}, and nobody did that"))
        return broken

    def judge_rest(self):
        """All should have arrived. Returns what is broken, and the digest of what every stream should hold."""
        broken, seen = [], self.seen
        expected = self.newest or self.served
        if self._pinned is Pinned.YES:
            expected = self._rollback.digest
        elif seen is not None and (seen.pin_version or not self.newest):
            expected = seen.digest
        if seen is not None:
            if seen.digest != expected:
                what = f"{expected}, since `{self._what}`"
                broken.append((4, f"{seen.digest} is served at the end instead of {what}"))
            if seen.state not in self.states or (seen.state == "SERVING") != (seen.violations == 0):
                what = f"{self.states}, since `{self._what}`, with {seen.violations} violations"
                broken.append((7, f"state {seen.state} instead of {what}"))
            if seen.history != "MEMORY" and (seen.history != "RECORDED" or seen.recorded_version != seen.version):
                broken.append((7, f"history is {seen.history} up to {seen.recorded_version}, not up to {seen.version}"))
        return broken, expected

    def rests(self):
        """All has arrived: nothing is under way any more."""
        self.served = self.judge_rest()[1]
        if self._pinned is Pinned.PERHAPS and self.seen is not None and not self.seen.pin_version:
            self._pinned = Pinned.NO
        self._at_rest = True
