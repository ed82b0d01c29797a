"""What is promised about one stream, and can be told from its messages alone."""

from records import CONTENT_KINDS


class StreamRules:
    """Judges the messages of one stream, one by one. `opened` is its StreamOpened."""

    def __init__(self, opened):
        self._opened = opened
        self._begun = None  # first fragment of the version under way
        self._base = None  # the last content, or the heartbeat that settled
        self._last = None  # the last message that is complete
        self._held = opened.token_view  # digest of the view that the client holds
        self._heartbeats = 0
        self._contents = 0
        self._broken = []

    def take(self, message):
        """Returns [(number of the guarantee, sentence)] of what the message breaks."""
        self._broken = []
        begun = self._begun
        if begun is not None:
            self._rule(2, _same_version(message, begun), f"version {begun.version} is interrupted by another message")
            self._rule(3, not message.skipped_versions, "skipped_versions on a later fragment")
        if message.more_fragments:
            self._rule(1, not message.in_sync, "in_sync before the last fragment")
            self._begun = begun or message
            return self._broken
        self._begun = None
        self._check_order(message)
        if message.kind in CONTENT_KINDS:
            self._check_content(message, (begun or message).skipped_versions)
            self._base, self._held = message, message.held_digest
        elif message.kind == "heartbeat":
            self._check_heartbeat(message)
        elif self._base is None:
            self._rule(1, message.version == 0, "a status came before the content that there was")
        self._last = message
        return self._broken

    def _rule(self, guarantee, holds, sentence):
        if not holds:
            self._broken.append((guarantee, sentence))

    def _check_order(self, message):
        last = self._last
        if last is None or not last.version:
            return
        if not message.version:
            self._rule(7, False, f"version {last.version} was taken away")
        elif message.epoch != last.epoch:
            self._rule(3, message.version > last.version, f"{message.version} of a new epoch after {last.version}")
        else:
            self._rule(3, message.version >= last.version, f"version {message.version} after {last.version}")

    def _check_content(self, message, skipped):
        opened, base, version = self._opened, self._base, message.version
        self._rule(
            2,
            message.held_digest == message.view_digest and (opened.globs or message.view_digest == message.digest),
            f"the content of version {version} is not what its digest says",
        )
        if message.kind == "delta":
            self._check_base(message)
        self._contents += 1
        if opened.min_update_seconds:
            most = (message.at - opened.at) / opened.min_update_seconds + 1
            self._rule(5, self._contents <= most, f"{self._contents} contents come faster than min_update_interval")
        if base is None:
            self._rule(3, skipped == 0, "skipped_versions on the first content")
            self._check_first(message)
            return
        self._rule(3, message.reason == "UPDATE", f"reason {message.reason} after the first content")
        self._rule(3, version > base.version, f"content of version {version} after that of {base.version}")
        self._rule(5, message.view_digest != self._held, f"version {version} changes nothing in the view, and was sent")
        gap = version - base.version - 1
        whole = not opened.globs
        if opened.every_version:
            # Numbers alone do not tell what is missing: a restart leaves a gap.
            self._rule(3, not skipped, f"skipped_versions is {skipped} with every_version")
        else:
            holds = skipped == gap if whole else 0 <= skipped <= gap
            self._rule(3, holds, f"skipped_versions is {skipped} between {base.version} and {version}")

    def _check_base(self, message):
        self._rule(3, self._opened.delta, "a delta was not asked for")
        # A version in which the view did not change may have been told of by another message only.
        held = [self._base, self._last] if self._base is not None else []
        bases = {each.version for each in held} or {self._opened.token_version}
        self._rule(
            3, message.base_version in bases - {0}, f"a delta to {message.base_version} for a client at {sorted(bases)}"
        )

    def _check_first(self, message):
        opened = self._opened
        if not opened.resumes:
            self._rule(1, message.reason == "INITIAL", f"reason {message.reason} without a token")
            return
        self._rule(1, message.reason in ("UPDATE", "RESYNC"), f"reason {message.reason} with a token")
        if opened.token_epoch and opened.token_globs == opened.globs:
            # With every_version the token is known, whatever its epoch, or the stream is refused.
            older = opened.every_version or (
                opened.token_epoch == message.epoch and opened.token_version < message.version
            )
            expected = "UPDATE" if older else "RESYNC"
            self._rule(1, message.reason == expected, f"reason {message.reason} instead of {expected}")
            current = opened.token_view == message.view_digest and not opened.every_version
            self._rule(1, not current, "content was sent to a client that has it")

    def _check_heartbeat(self, message):
        opened = self._opened
        if self._base is None and message.version:
            self._rule(1, opened.resumes and message.in_sync, "the first answer is a heartbeat that settles nothing")
            self._base = message
            return
        self._heartbeats += 1
        seconds = opened.heartbeat_seconds
        most = (message.at - opened.at) / seconds + 1 if seconds else 0
        self._rule(5, self._heartbeats <= most, f"{self._heartbeats} heartbeats come faster than heartbeat_interval")


def _same_version(message, begun):
    return (message.kind, message.epoch, message.version) == (begun.kind, begun.epoch, begun.version)
