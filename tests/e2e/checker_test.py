"""The checker itself: it names the guarantee that a hand-made history breaks, and is content with right ones."""

import io
import unittest

import records
from checker import Checker, check
from recording import Recorder, from_line, tree_digest

E = "e" * 32  # an epoch


class Story:
    """A history in the making: one server, its source `s`, and a second between any two records."""

    def __init__(self, recorded=True, **started):
        self.records = []
        self.changes = 0
        self.run = 0
        self.start(recorded=recorded, **started)

    def add(self, record, /, **fields):
        self.records.append(record(at=float(len(self.records)), **fields))
        return self

    def start(self, **fields):
        self.run += 1
        return self.add(records.ServerStarted, run=self.run, **{"sources": ("s",), **fields})

    def content(self, **files):
        hashes = {name: f"{text:>64}" for name, text in files.items()}
        digest = tree_digest(hashes)
        self.add(records.Content, digest=digest, files=hashes)
        return digest

    def change(self, digest="", states=("SERVING",)):
        """The files are changed to this content; without, to something invalid."""
        self.changes += 1
        valid = (digest,) if digest else ()
        self.add(
            records.ChangeBegun, source="s", change=self.changes, what="swap", valid=valid, newest=digest, states=states
        )
        return self.add(records.ChangeEnded, source="s", change=self.changes)

    def publish(self, version, digest, origin="FILES"):
        return self.add(records.Published, run=self.run, source="s", version=version, digest=digest, origin=origin)

    def swap(self, version, digest):
        return self.change(digest).publish(version, digest)

    def open(self, stream="c/1", **fields):
        return self.add(records.StreamOpened, stream=stream, client=stream[0], run=self.run, source="s", **fields)

    def receive(self, version, digest, stream="c/1", view=None, epoch=E, **fields):
        """A snapshot; as a client would hold it, unless `held_digest` says otherwise."""
        view = view or digest
        given = {"kind": "snapshot", "reason": "UPDATE", "view_digest": view, "held_digest": view, **fields}
        return self.add(records.Received, stream=stream, epoch=epoch, version=version, digest=digest, **given)

    def first(self, version, digest, stream="c/1", **fields):
        return self.receive(version, digest, stream, **{"reason": "INITIAL", "watch_id": stream, **fields})

    def told(self, version, digest="", kind="heartbeat", stream="c/1", epoch=E, **fields):
        """A message without content."""
        given = {"kind": kind, "epoch": epoch, "version": version, "digest": digest, **fields}
        return self.add(records.Received, stream=stream, **given)

    def see(self, version, digest, state="SERVING", **fields):
        given = {"epoch": E, "recorded_version": version, **fields}
        return self.add(
            records.SourceSeen, run=self.run, source="s", version=version, digest=digest, state=state, **given
        )

    def quiet(self, version=None, digest="", state="SERVING", **fields):
        self.add(records.QuietBegun)
        if version is not None:
            self.see(version, digest, state, **fields)
        return self.add(records.QuietEnded)

    def roll_back(self, version, new_version, digest, persisted=True):
        self.add(records.RollbackBegun, source="s", version=version)
        self.publish(new_version, digest, "ROLLBACK")
        fields = {"new_version": new_version, "epoch": E, "digest": digest, "persisted": persisted}
        return self.add(records.RollbackEnded, source="s", version=version, **fields)

    def signal(self, signal):
        return self.add(records.Signalled, run=self.run, signal=signal)

    def end(self, code="UNAVAILABLE", reason="", stream="c/1", **fields):
        return self.add(records.StreamEnded, stream=stream, code=code, reason=reason, **fields)

    def exit(self, code):
        return self.add(records.ServerEnded, run=self.run, code=code)

    def kill(self):
        return self.signal("KILL").exit(-9)


class CheckerTest(unittest.TestCase):
    def setUp(self):
        self.story = Story()
        self.a, self.b, self.c = (self.story.content(x=text, y=text) for text in "abc")
        self.x_of_a, self.x_of_b = self.story.content(x="a"), self.story.content(x="b")

    def expect(self, guarantee, pattern):
        """Just this guarantee is broken, and the sentence says how."""
        broken = check(self.story.records)
        self.assertEqual({each.guarantee for each in broken}, {guarantee}, "\n".join(map(str, broken)))
        self.assertRegex(broken[0].sentence, pattern)

    def expect_right(self):
        broken = check(self.story.records)
        self.assertEqual(broken, [], "\n".join(map(str, broken)))


class RightHistoryTest(CheckerTest):
    def test_updates_and_a_restart_that_goes_on(self):
        story = self.story.swap(1, self.a).open().first(1, self.a, in_sync=True).swap(2, self.b).receive(2, self.b)
        story.quiet(2, self.b).kill().end().start().add(records.Restored, run=2, source="s", version=1001, epoch=E)
        story.open("c/2", resumes=True, token_epoch=E, token_version=2, token_view=self.b)
        story.told(1001, self.b, stream="c/2", in_sync=True).swap(1002, self.c)
        story.receive(1002, self.c, stream="c/2", skipped_versions=0).quiet(1002, self.c)
        self.expect_right()

    def test_a_view_is_skipped_over_what_does_not_concern_it(self):
        other = self.story.content(x="a", y="b")
        story = self.story.swap(1, self.a).open(globs=("x",)).first(1, self.a, view=self.x_of_a)
        story.swap(2, other).swap(3, self.b).swap(4, self.a).swap(5, self.b)
        story.receive(5, self.b, view=self.x_of_b, skipped_versions=2).quiet(5, self.b)
        self.expect_right()

    def test_a_delta_in_fragments_and_every_version(self):
        story = self.story.swap(1, self.a).open(delta=True, every_version=True).first(1, self.a).swap(2, self.b)
        story.swap(3, self.a)
        delta = {"kind": "delta", "view_digest": self.b, "base_version": 1}
        story.receive(2, self.b, more_fragments=True, **delta, held_digest="").receive(2, self.b, **delta)
        story.receive(3, self.a, kind="delta", base_version=2).quiet(3, self.a)
        self.expect_right()

    def test_every_version_goes_on_in_a_new_epoch(self):
        story = self.story.swap(1, self.a)
        story.open(every_version=True, resumes=True, token_epoch=E, token_version=1, token_view=self.a)
        story.swap(2, self.b).first(2, self.b, epoch="f", reason="UPDATE").quiet(2, self.b, epoch="f")
        self.expect_right()

    def test_invalid_content_is_degraded_and_serves_what_there_was(self):
        story = self.story.swap(1, self.a).open().first(1, self.a).change(states=("DEGRADED",))
        story.told(1, self.a, "source_status", state="DEGRADED").quiet(1, self.a, "DEGRADED", violations=1)
        self.expect_right()

    def test_a_pin_holds_until_other_content_comes(self):
        story = self.story.swap(1, self.a).swap(2, self.b).quiet(2, self.b).roll_back(1, 3, self.a)
        story.see(3, self.a, pin_version=1).change(self.b).quiet(3, self.a, pin_version=1)
        story.swap(4, self.c).quiet(4, self.c)
        self.expect_right()

    def test_an_orderly_end(self):
        story = self.story.swap(1, self.a).open().first(1, self.a)
        story.add(records.HealthSeen, run=1, service="", status="SERVING").signal("TERM")
        story.add(records.HealthSeen, run=1, service="", status="NOT_SERVING")
        story.end(reason="DRAINING", retry_seconds=1.5).exit(0)
        self.expect_right()

    def test_a_removed_source(self):
        story = self.story.swap(1, self.a).open().first(1, self.a).add(records.Configured, run=1, sources=())
        story.end("NOT_FOUND", "SOURCE_REMOVED").quiet()
        self.expect_right()

    def test_reports_and_stalled_streams(self):
        story = self.story.swap(1, self.a).open().first(1, self.a)
        story.add(records.Reported, stream="c/1", version=1, outcome="APPLIED")
        seen = {"run": 1, "watch_id": "c/1", "version": 1, "report_version": 1, "report_outcome": "APPLIED"}
        story.add(records.ClientPaused, client="c")
        story.add(records.WatcherSeen, in_sync=False, behind_seconds=50.0, **seen)
        story.end("CANCELLED").add(records.ClientResumed, client="c")
        self.expect_right()

    def test_a_history_is_the_same_when_read_back_from_a_file(self):
        self.story.swap(1, self.a).open(globs=("x",)).first(1, self.a, view=self.b)
        file = io.StringIO()
        recorder = Recorder(file=file)
        for record in self.story.records:
            recorder.add(record)
        read = [from_line(line) for line in file.getvalue().splitlines()]
        self.assertEqual(read, self.story.records)
        self.assertEqual(list(map(str, check(read))), list(map(str, check(self.story.records))))
        self.assertGreater(len(check(read)), 0)


class FirstAnswerTest(CheckerTest):
    def test_content_without_a_token_is_initial(self):
        self.story.swap(1, self.a).open().first(1, self.a, reason="RESYNC")
        self.expect(1, "RESYNC without a token")

    def test_content_with_a_token_is_not_initial(self):
        self.story.swap(1, self.a).open(resumes=True).first(1, self.a)
        self.expect(1, "INITIAL with a token")

    def test_a_status_does_not_settle_a_client_when_there_is_content(self):
        self.story.swap(1, self.a).open().told(1, self.a, "source_status")
        self.expect(1, "a status came before the content")

    def test_a_part_of_a_version_does_not_bring_a_client_in_sync(self):
        parts = {"more_fragments": True, "held_digest": ""}
        self.story.swap(1, self.a).open().first(1, self.a, in_sync=True, **parts).receive(1, self.a, reason="INITIAL")
        self.expect(1, "before the last fragment")

    def test_a_heartbeat_does_not_settle_a_client_without_a_token(self):
        self.story.swap(1, self.a).open().told(1, self.a)
        self.expect(1, "settles nothing")

    def test_a_client_with_other_content_is_not_in_sync(self):
        self.story.swap(1, self.a).swap(2, self.b)
        self.story.open(resumes=True, token_epoch=E, token_version=1, token_view=self.a).told(2, self.b, in_sync=True)
        self.expect(1, "told to be in sync")

    def test_a_client_that_has_the_content_is_not_sent_it(self):
        self.story.swap(1, self.a).open(resumes=True, token_epoch="f", token_version=9, token_view=self.a)
        self.story.first(1, self.a, reason="RESYNC")
        self.expect(1, "that has it")

    def test_a_known_older_version_is_no_resync(self):
        self.story.swap(1, self.a).swap(2, self.b).open(resumes=True, token_epoch=E, token_version=1, token_view=self.a)
        self.story.first(2, self.b, reason="RESYNC")
        self.expect(1, "RESYNC instead of UPDATE")

    def test_every_version_is_no_resync(self):
        self.story.swap(1, self.a)
        self.story.open(every_version=True, resumes=True, token_epoch=E, token_version=1, token_view=self.a)
        self.story.swap(2, self.b).first(2, self.b, epoch="f", reason="RESYNC")
        self.expect(1, "RESYNC instead of UPDATE")

    def test_an_answer_older_than_what_others_had_before_is_stale(self):
        self.story.swap(1, self.a).swap(2, self.b).open("d/1").first(2, self.b, stream="d/1").open().first(1, self.a)
        self.expect(1, "2 was sent before")


class ContentTest(CheckerTest):
    def test_a_number_with_two_contents(self):
        self.story.change(self.a).change(self.b).open().first(1, self.a).open("d/1").first(1, self.b, stream="d/1")
        self.expect(2, "two contents")

    def test_a_number_with_two_contents_in_two_epochs_of_one_server(self):
        self.story.change(self.a).change(self.b).open().first(1, self.a)
        self.story.open("d/1").first(1, self.b, stream="d/1", epoch="f" * 32)
        self.expect(2, "two contents")

    def test_a_number_with_two_contents_after_a_restart(self):
        self.story.swap(1, self.a).swap(2, self.b).open().first(2, self.b).kill().end().start().swap(2, self.c)
        self.story.open("c/2").first(2, self.c, stream="c/2")
        self.expect(2, "two contents")

    def test_invalid_content_is_served(self):
        bad = self.story.content(x="[")
        self.story.swap(1, self.a).change(states=("DEGRADED",)).open().first(2, bad)
        self.expect(2, "invalid")

    def test_invalid_content_is_published(self):
        self.story.swap(1, self.a).change(states=("DEGRADED",)).publish(2, self.story.content(x="["))
        self.expect(2, "invalid")

    def test_a_torn_snapshot(self):
        torn = self.story.content(x="a", y="b")
        self.story.swap(1, self.a).swap(2, self.b).open().first(2, self.b, held_digest=torn)
        self.expect(2, "other content")

    def test_content_that_is_not_what_its_digest_says(self):
        self.story.swap(1, self.a).open().first(1, self.a, view="sha256:0")
        self.expect(2, "other content")

    def test_a_version_that_is_interrupted(self):
        self.story.swap(1, self.a).open().first(1, self.a, more_fragments=True, held_digest="").told(1, self.a)
        broken = check(self.story.records)
        self.assertEqual(broken[0].guarantee, 2)
        self.assertIn("interrupted", broken[0].sentence)

    def test_a_message_that_is_not_as_the_protocol_has_it(self):
        self.story.open().add(records.StreamFaulted, stream="c/1", sentence="order of paths")
        self.expect(2, "order of paths")

    def test_a_version_that_was_not_published_to_the_end(self):
        self.story.swap(1, self.a).open().first(1, self.a).change(self.b).receive(2, self.b).kill().end()
        self.expect(2, "never published")

    def test_a_version_that_was_never_published(self):
        self.story.swap(1, self.a).open().first(1, self.a).swap(3, self.b).receive(2, self.b)
        self.expect(2, "never published")


class OrderTest(CheckerTest):
    def setUp(self):
        super().setUp()
        self.story.swap(1, self.a).swap(2, self.b)

    def test_a_version_goes_back_within_an_epoch(self):
        self.story.open().first(2, self.b).receive(1, self.a)
        self.expect(3, "version 1 after 2")

    def test_a_heartbeat_goes_back(self):
        self.story.open().first(2, self.b).told(1, self.a)
        self.expect(3, "version 1 after 2")

    def test_a_repeated_version(self):
        self.story.open().first(2, self.b).receive(2, self.b)
        broken = check(self.story.records)
        self.assertEqual(broken[0].guarantee, 3)
        self.assertIn("content of version 2 after that of 2", broken[0].sentence)

    def test_versions_are_published_backwards(self):
        self.story.swap(1, self.c)
        self.expect(3, "version 1 was published after 2")

    def test_a_heartbeat_of_a_new_epoch_goes_back(self):
        self.story.open().first(2, self.b).told(1, self.b, epoch="f" * 32)
        broken = check(self.story.records)
        self.assertEqual(broken[0].guarantee, 3)
        self.assertIn("1 of a new epoch after 2", broken[0].sentence)

    def test_content_after_the_first_is_an_update(self):
        self.story.open().first(2, self.b).swap(3, self.c).receive(3, self.c, reason="RESYNC")
        self.expect(3, "RESYNC after the first content")

    def test_the_first_content_skips_nothing(self):
        self.story.open().first(2, self.b, skipped_versions=1)
        self.expect(3, "on the first content")

    def test_only_the_first_fragment_tells_what_was_skipped(self):
        parts = {"more_fragments": True, "held_digest": ""}
        self.story.open().first(2, self.b).swap(3, self.c).receive(3, self.c, **parts)
        self.story.receive(3, self.c, skipped_versions=1)
        broken = check(self.story.records)
        self.assertEqual(broken[0].guarantee, 3)
        self.assertIn("later fragment", broken[0].sentence)

    def test_more_versions_are_skipped_than_there_were(self):
        self.story.change(self.c).open().first(2, self.b).receive(4, self.c, skipped_versions=2)
        self.expect(3, "skipped_versions is 2 between 2 and 4")

    def test_a_new_epoch_goes_back(self):
        self.story.open().first(2, self.b).receive(1, self.a, epoch="f" * 32)
        self.expect(3, "1 of a new epoch|after that of 2")

    def test_skipped_versions_are_wrong(self):
        self.story.open().first(2, self.b).swap(3, self.a).swap(4, self.c).receive(4, self.c)
        self.expect(3, "skipped_versions is 0")

    def test_skipped_versions_of_a_view_are_wrong(self):
        other = self.story.content(x="b", y="c")
        self.story.open(globs=("x",)).first(2, self.b, view=self.x_of_b).swap(3, other).swap(4, self.a)
        self.story.receive(4, self.a, view=self.x_of_a, skipped_versions=1)
        self.expect(3, "skipped_versions is 1, not 0")

    def test_every_version_lacks_one(self):
        self.story.open(globs=("x",), every_version=True).first(2, self.b, view=self.x_of_b)
        self.story.swap(3, self.a).swap(4, self.b).swap(5, self.a).receive(5, self.a, view=self.x_of_a)
        self.expect(3, "lacks 2")

    def test_skipped_versions_with_every_version(self):
        self.story.open(every_version=True).first(2, self.b).swap(3, self.a).receive(3, self.a, skipped_versions=1)
        self.expect(3, "skipped_versions is 1 with every_version")

    def test_a_delta_on_the_wrong_base(self):
        self.story.open(delta=True).first(2, self.b).swap(3, self.c).receive(3, self.c, kind="delta", base_version=1)
        self.expect(3, "a delta to 1 for a client at")

    def test_a_delta_that_nobody_asked_for(self):
        self.story.open().first(2, self.b).swap(3, self.c).receive(3, self.c, kind="delta", base_version=2)
        self.expect(3, "not asked for")

    def test_content_is_published_that_was_replaced_before_the_last(self):
        self.story.publish(3, self.a)
        self.expect(3, "replaced before")


class LastStateTest(CheckerTest):
    def test_a_stream_does_not_get_the_last_state(self):
        self.story.swap(1, self.a).open().first(1, self.a).swap(2, self.b).quiet(2, self.b)
        self.expect(4, "c/1 ends at version 1")

    def test_the_server_does_not_get_the_last_state(self):
        self.story.swap(1, self.a).change(self.b).quiet(1, self.a)
        self.expect(4, "is served at the end")

    def test_a_view_does_not_get_its_last_state(self):
        self.story.swap(1, self.a).open(globs=("x",)).first(1, self.a, view=self.x_of_a).swap(2, self.b)
        self.story.quiet(2, self.b)
        self.expect(4, "c/1 ends at version 1")

    def test_a_stream_ends_for_no_reason(self):
        self.story.swap(1, self.a).open().first(1, self.a).end("OK")
        self.expect(4, "nobody asked")


class ViewTest(CheckerTest):
    def test_a_view_is_woken_without_a_change(self):
        other = self.story.content(x="a", y="b")
        self.story.swap(1, self.a).open(globs=("x",)).first(1, self.a, view=self.x_of_a).swap(2, other)
        self.story.receive(2, other, view=self.x_of_a)
        broken = check(self.story.records)
        self.assertEqual(broken[0].guarantee, 5)
        self.assertIn("changes nothing in the view", broken[0].sentence)

    def test_a_deletion_is_not_told(self):
        less = self.story.content(x="c")
        held = self.story.content(x="c", y="a")
        self.story.swap(1, self.a).open(delta=True).first(1, self.a).swap(2, less)
        self.story.receive(2, less, kind="delta", base_version=1, held_digest=held)
        self.expect(5, r"deletion of \['y'\]")

    def test_equal_content_is_published_again(self):
        self.story.swap(1, self.a).publish(2, self.a)
        self.expect(5, "content of the one before")

    def test_heartbeats_that_come_too_often(self):
        self.story.swap(1, self.a).open(heartbeat_seconds=100.0).first(1, self.a).told(1, self.a).told(1, self.a)
        self.expect(5, "heartbeats come faster")

    def test_contents_that_come_too_often(self):
        self.story.swap(1, self.a).open(min_update_seconds=100.0).first(1, self.a).swap(2, self.b).receive(2, self.b)
        self.story.swap(3, self.c).receive(3, self.c)
        self.expect(5, "min_update_interval")


class BoundsTest(CheckerTest):
    def test_a_stalled_stream_is_not_ended(self):
        self.story.swap(1, self.a).open().first(1, self.a).add(records.ClientPaused, client="c")
        seen = {"run": 1, "watch_id": "c/1", "version": 1, "in_sync": False}
        self.story.add(records.WatcherSeen, behind_seconds=80.0, **seen)
        self.expect(6, "not read is open")

    def test_memory_grows(self):
        for number in range(12):
            self.sample(resident_bytes=(100 + 10 * number) << 20)
        self.expect(6, "resident_bytes grows")

    def test_descriptors_grow(self):
        for number in range(12):
            self.sample(descriptors=40 + 2 * number)
        self.expect(6, "descriptors grows")

    def test_figures_that_only_waver_are_flat(self):
        for number in range(12):
            self.sample(resident_bytes=(100 + number % 3) << 20, descriptors=40 + number % 2)
        self.expect_right()

    def sample(self, **figures):
        given = {"resident_bytes": 1 << 26, "descriptors": 40, "threads": 20, **figures}
        self.story.add(records.Sampled, run=1, **given)


class AvailabilityTest(CheckerTest):
    def test_served_content_is_lost_while_degraded(self):
        self.story.swap(1, self.a).open().first(1, self.a).change(states=("DEGRADED",))
        self.story.told(0, "", "source_status", state="WAITING")
        broken = check(self.story.records)
        self.assertEqual({each.guarantee for each in broken}, {7})
        self.assertIn("taken away", broken[0].sentence)

    def test_a_late_client_finds_nothing_though_there_was_content(self):
        self.story.swap(1, self.a).change(states=("DEGRADED",)).open().told(0, "", "source_status", state="WAITING")
        self.expect(7, "is gone")

    def test_recorded_content_is_not_served_after_a_restart(self):
        self.story.swap(1, self.a).see(1, self.a).kill().start().see(0, "", "WAITING")
        self.expect(7, "nothing is served")

    def test_invalid_content_is_not_told(self):
        self.story.swap(1, self.a).change(states=("DEGRADED",)).quiet(1, self.a, "SERVING")
        self.expect(7, "state SERVING instead of")

    def test_history_does_not_go_on_when_the_disk_has_room_again(self):
        self.story.swap(1, self.a).swap(2, self.b).quiet(2, self.b, history="FAILING", recorded_version=1)
        self.expect(7, "history is FAILING up to 1")

    def test_health_is_lost_by_invalid_content(self):
        for status in ("SERVING", "NOT_SERVING"):
            self.story.add(records.HealthSeen, run=1, service="confstream.v1.ConfigService", status=status)
        self.expect(7, "health")

    def test_the_server_crashes(self):
        self.story.exit(-11)
        self.expect(7, "by itself with code -11")

    def test_a_report_is_lost(self):
        self.story.swap(1, self.a).open().first(1, self.a)
        self.story.add(records.Reported, stream="c/1", version=1, outcome="REJECTED")
        self.story.add(records.WatcherSeen, run=1, watch_id="c/1", version=1, in_sync=True)
        self.expect(7, "another report")

    def test_a_stream_is_listed_behind_what_it_was_sent(self):
        self.story.swap(1, self.a).open().first(1, self.a).add(records.QuietBegun)
        self.story.add(records.WatcherSeen, run=1, watch_id="c/1", version=0, in_sync=False)
        self.expect(7, "that was sent 1")

    def test_a_stream_is_not_listed(self):
        self.story.swap(1, self.a).open().first(1, self.a).add(records.QuietBegun)
        self.story.add(records.WatchersListed, run=1, watch_ids=())
        self.expect(7, "has c/1 0 times")


class PinTest(CheckerTest):
    def setUp(self):
        super().setUp()
        self.story.swap(1, self.a).swap(2, self.b).quiet(2, self.b)

    def test_a_pin_is_not_respected(self):
        self.story.roll_back(1, 3, self.a).publish(4, self.b)
        self.expect(8, "while pinned")

    def test_a_pin_does_not_survive_a_restart(self):
        self.story.roll_back(1, 3, self.a).kill().start().see(4, self.b)
        self.expect(8, "does not hold")

    def test_a_pin_that_was_not_recorded_may_be_lost(self):
        self.story.roll_back(1, 3, self.a, persisted=False).kill().start().see(4, self.b)
        self.expect_right()

    def test_a_pin_ends_when_the_files_get_the_pinned_content(self):
        self.story.roll_back(1, 3, self.a).quiet(3, self.a, pin_version=1).change(self.a).quiet(3, self.a)
        self.expect_right()

    def test_a_rollback_publishes_other_content(self):
        self.story.open().first(2, self.b).roll_back(2, 3, self.a)
        self.expect(8, "instead of")

    def test_a_pin_that_nobody_made(self):
        self.story.see(2, self.b, pin_version=1)
        self.expect(8, "nobody did that")

    def test_other_content_than_that_of_the_pinned_version(self):
        self.story.open().first(2, self.b).swap(3, self.c).roll_back(2, 4, self.b).see(5, self.a, pin_version=2)
        self.expect(8, "served while pinned")

    def test_a_stream_ends_at_other_content_than_the_pinned(self):
        self.story.open().first(2, self.b).roll_back(1, 3, self.a).quiet(3, self.a, pin_version=1)
        self.expect(4, "c/1 ends at version 2")

    def test_a_pin_whose_end_was_not_recorded_may_come_back(self):
        self.story.roll_back(1, 3, self.a).add(records.UnpinBegun, source="s")
        self.story.add(records.UnpinEnded, source="s", done=True, persisted=False).publish(4, self.b)
        self.story.kill().start().see(5, self.a, pin_version=1)
        self.expect_right()

    def test_a_pin_that_new_content_ended_may_come_back_if_that_was_not_recorded(self):
        self.story.roll_back(1, 3, self.a).swap(4, self.c).kill().start().see(5, self.a, pin_version=1)
        self.expect_right()

    def test_a_pin_that_new_content_ended_comes_back_though_that_was_recorded(self):
        self.story.roll_back(1, 3, self.a).swap(4, self.c).quiet(4, self.c)
        self.story.kill().start().see(5, self.a, pin_version=1)
        self.expect(8, "nobody did that")

    def test_a_pin_whose_end_was_recorded_comes_back(self):
        self.story.roll_back(1, 3, self.a).add(records.UnpinBegun, source="s")
        self.story.add(records.UnpinEnded, source="s", done=True).publish(4, self.b)
        self.story.kill().start().see(5, self.a, pin_version=1)
        self.expect(8, "nobody did that")

    def test_an_ended_pin_holds_on(self):
        self.story.roll_back(1, 3, self.a).add(records.UnpinBegun, source="s")
        self.story.add(records.UnpinEnded, source="s", done=True).see(3, self.a, pin_version=1)
        self.expect(8, "nobody did that")


class EndTest(CheckerTest):
    def setUp(self):
        super().setUp()
        self.story.records[0] = records.ServerStarted(at=0.0, run=1, sources=("s",), shutdown_seconds=8.0)
        self.story.swap(1, self.a)

    def test_a_stream_ends_otherwise_at_sigterm(self):
        self.story.open().first(1, self.a).signal("TERM").end("CANCELLED").exit(0)
        self.expect(9, "CANCELLED")

    def test_a_stream_ends_without_a_hint_at_sigterm(self):
        self.story.open().first(1, self.a).signal("TERM").end(reason="DRAINING").exit(0)
        self.expect(9, "at SIGTERM")

    def test_a_stream_does_not_end_at_sigterm(self):
        self.story.open().first(1, self.a).signal("TERM").exit(0).quiet()
        self.expect(9, "open after its server has ended")

    def test_hints_without_jitter(self):
        for number in range(6):
            self.story.open(f"c/{number}").first(1, self.a, stream=f"c/{number}")
        self.story.signal("TERM")
        for number in range(6):
            self.story.end(reason="DRAINING", retry_seconds=1.0, stream=f"c/{number}")
        self.story.exit(0)
        self.expect(9, "the same 1.0 s")

    def test_the_server_is_joined_too_late(self):
        self.story.signal("TERM")
        for _ in range(8):
            self.story.add(records.QuietBegun)
        self.story.exit(0)
        self.expect(9, "9.0 s after SIGTERM")

    def test_the_server_does_not_end_well(self):
        self.story.signal("TERM").exit(-6)
        self.expect(9, "code -6 after SIGTERM")

    def test_health_stays_serving(self):
        self.story.add(records.HealthSeen, run=1, service="", status="SERVING").signal("TERM").exit(0)
        self.expect(9, "health")

    def test_the_stream_of_a_removed_source_stays_open(self):
        self.story.open().first(1, self.a).add(records.Configured, run=1, sources=()).quiet()
        self.expect(9, "source was removed")

    def test_a_stream_ends_as_if_its_source_were_removed(self):
        self.story.open().first(1, self.a).end("NOT_FOUND", "SOURCE_REMOVED")
        self.expect(9, "is there")


class AroundTest(CheckerTest):
    def test_what_happened_before_and_after_is_shown_but_for_other_sources(self):
        self.story.swap(1, self.a).open().first(1, self.a)
        self.story.add(records.ChangeEnded, source="other", change=1)
        self.story.told(0, "", "source_status", state="WAITING").told(1, self.a, "source_status")
        [broken] = [each for each in check(self.story.records) if "taken away" in each.sentence]
        kinds = [type(each).__name__ for each in broken.before]
        self.assertEqual(kinds[-3:], ["Published", "StreamOpened", "Received"])
        self.assertEqual(broken.record.state, "WAITING")
        self.assertEqual([each.version for each in broken.after], [1])
        self.assertIn("guarantee 7 is broken", str(broken))

    def test_a_checker_judges_as_it_goes(self):
        checker = Checker()
        self.story.exit(-11)
        for record in self.story.records:
            checker.take(record)
        self.assertEqual([each.guarantee for each in checker.broken], [7])


if __name__ == "__main__":
    unittest.main()
