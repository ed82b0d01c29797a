"""Streams that carry on where another one stopped."""

import unittest

from harness import EndToEndTest
from volume import Volume


class ResumeTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.volume = Volume(self.path("volume"), {"a": "1", "b": "1"})

    def token_of_current(self, server, **request):
        stream = self.watch(server, **request)
        token = stream.next_version().token
        stream.close()
        return token

    def expect_in_sync(self, server, token, **request):
        """The stream begins with a heartbeat, and its next snapshot is the next change. Returns the heartbeat."""
        stream = self.watch(server, resume_token=token, **request)
        first = stream.next()
        self.assertEqual((first.kind, first.in_sync), ("heartbeat", True))
        self.volume.swap({"a": "next", "b": "next"})
        event = stream.next()
        self.assertEqual((event.kind, event.reason, event.version), ("snapshot", "UPDATE", first.version + 1))
        return first

    def expect_content(self, server, token, reason, **request):
        first = self.watch(server, resume_token=token, **request).next()
        self.assertEqual((first.kind, first.reason, first.in_sync), ("snapshot", reason, True))
        return first

    def test_resuming_at_the_current_version_answers_in_sync_without_a_snapshot(self):
        server = self.serve()
        token = self.token_of_current(server)
        self.assertEqual(self.expect_in_sync(server, token).token, token)

    def test_resuming_after_a_restart_with_unchanged_content_answers_in_sync_with_the_new_epoch(self):
        server = self.serve()
        before = self.watch(server)
        old = before.next_version()
        before.close()
        server.close()
        again = self.serve()
        first = self.expect_in_sync(again, old.token)
        self.assertNotEqual(first.header.epoch, old.header.epoch)
        self.assertNotEqual(first.token, old.token)
        self.assertEqual(first.header.digest, old.header.digest)

    def test_resuming_after_kill_with_unchanged_content_answers_in_sync(self):
        server = self.serve()
        token = self.token_of_current(server)
        server.kill()
        self.expect_in_sync(self.serve(), token)

    def test_resuming_after_a_restart_with_changed_content_resyncs(self):
        server = self.serve()
        token = self.token_of_current(server)
        server.close()
        self.volume.swap({"a": "2", "b": "1"})
        event = self.expect_content(self.serve(), token, "RESYNC")
        self.assertEqual(event.files, {"a": b"2", "b": b"1"})

    def test_resuming_an_older_version_of_the_same_server_updates(self):
        server = self.serve()
        token = self.token_of_current(server)
        observer = self.watch(server)
        for number in (2, 3, 4):
            self.volume.swap({"a": str(number), "b": "1"})
            observer.until(lambda event, number=number: event.files["a"] == b"%d" % number)
        event = self.expect_content(server, token, "UPDATE")
        self.assertEqual((event.version, event.skipped_versions), (4, 0))

    def test_resuming_an_older_version_whose_content_is_current_again_answers_in_sync(self):
        server = self.serve()
        token = self.token_of_current(server)
        observer = self.watch(server)
        observer.next_version()
        for content in ("2", "1"):
            self.volume.swap({"a": content, "b": "1"})
            observer.next_version()
        self.assertEqual(self.expect_in_sync(server, token).version, 3)

    def test_a_deletion_while_the_client_was_away_is_told(self):
        server = self.serve()
        token = self.token_of_current(server)
        observer = self.watch(server)
        observer.next_version()
        self.volume.swap({"a": "1"})
        observer.next_version()
        self.assertEqual(self.expect_content(server, token, "UPDATE").files, {"a": b"1"})

    def test_tokens_that_the_server_cannot_relate_resync_and_are_no_errors(self):
        server = self.serve({"demo": self.volume.path, "other": self.volume.path})
        token = self.token_of_current(server)
        tokens = {
            "malformed": "what is this?",
            "not base64url": "ÿ" * 40,
            "cut": token[: len(token) // 2],
            "longer": token + "AAAA",
            "huge": "A" * 100000,
            "of another source": self.token_of_current(server, source="other"),
            "of another view": self.token_of_current(server, path_globs=["a"]),
        }
        for what, bad in tokens.items():
            with self.subTest(what):
                event = self.expect_content(server, bad, "RESYNC")
                self.assertEqual((event.version, event.files), (1, {"a": b"1", "b": b"1"}))

    def test_a_filtered_view_resumes_in_sync_although_other_files_changed(self):
        server = self.serve()
        token = self.token_of_current(server, path_globs=["a"])
        observer = self.watch(server)
        observer.next_version()
        self.volume.swap({"a": "1", "b": "2"})
        observer.next_version()
        first = self.expect_in_sync(server, token, path_globs=["a"])
        self.assertEqual(first.version, 2)
        self.assertNotEqual(first.token, token)

    def test_the_order_of_globs_does_not_make_another_view(self):
        server = self.serve()
        token = self.token_of_current(server, path_globs=["a", "b"])
        self.expect_in_sync(server, token, path_globs=["b", "a"])

    def test_until_in_sync_with_a_current_token_ends_after_the_heartbeat(self):
        server = self.serve()
        stream = self.watch(server, resume_token=self.token_of_current(server), until_in_sync=True)
        self.assertEqual(stream.next().kind, "heartbeat")
        self.assertEqual(stream.end().code.name, "OK")
        self.assertEqual(len(stream.events), 1)


if __name__ == "__main__":
    unittest.main()
