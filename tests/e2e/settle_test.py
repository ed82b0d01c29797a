"""What is published at once, what settles first, and what is no change at all."""

import mmap
import os
import random
import shutil
import tempfile
import threading
import time
import unittest

from harness import EndToEndTest, write
from volume import Volume

NEVER = {"settle": "1h", "max_delay": "1h"}  # what arrives all the same has not been waited for


class CommitPointTest(EndToEndTest):
    def test_a_swap_is_published_without_settling(self):
        volume = Volume(self.path("volume"), {"a.yaml": "n: 1"})
        stream = self.watch(self.serve(defaults=NEVER))
        self.assertEqual(stream.next_version().files, {"a.yaml": b"n: 1"})
        for number in range(2, 102):
            volume.swap({"a.yaml": f"n: {number}", "b.yaml": f"n: {number}"})
            event = stream.next_version()
            self.assertEqual(event.version, number)
            self.assertEqual(event.files, {name: b"n: %d" % number for name in ("a.yaml", "b.yaml")})

    def test_the_removal_of_the_old_generation_after_a_swap_ends_no_watch_and_makes_no_version(self):
        volume = Volume(self.path("volume"), {"a.yaml": "n: 1"})
        stream = self.watch(self.serve(defaults=NEVER))
        stream.next_version()
        for number in range(2, 12):
            old = os.path.realpath(self.path("volume", "..data"))
            fresh = tempfile.mkdtemp(prefix="..generation.", dir=volume.path)
            os.chmod(fresh, 0o755)
            write(os.path.join(fresh, "a.yaml"), f"n: {number}")
            os.symlink(os.path.basename(fresh), self.path("volume", "..data_tmp"))
            os.rename(self.path("volume", "..data_tmp"), self.path("volume", "..data"))
            self.assertEqual(stream.next_version().version, number)
            shutil.rmtree(old)  # kubelet's last step, long after the swap was seen

    def test_links_of_new_keys_that_dangle_until_the_swap_are_no_error_and_no_version(self):
        """The order of older kubelets, slowly: whoever settled for the links would have read by the swap."""
        volume = Volume(self.path("volume"), {"a": "1"})
        server = self.serve(defaults={"settle": "100ms", "max_delay": "200ms"})
        stream = self.watch(server)
        stream.next_version()
        os.symlink("..data/b", self.path("volume", "b"))
        time.sleep(1)  # the scenario's: several times max_delay
        volume.swap({"a": "2", "b": "2"})
        event = stream.next()
        self.assertEqual((event.kind, event.version, event.files), ("snapshot", 2, {"a": b"2", "b": b"2"}))
        self.assertEqual([line for line in server.log() if line.get("level") in ("warning", "error")], [])

    def test_a_link_that_is_replaced_atomically_is_published_without_settling(self):
        for name in ("one", "two"):
            os.mkdir(self.path(name))
            write(self.path(name, "a.yaml"), f"is: {name}")
        os.symlink("one", self.path("volume"))
        stream = self.watch_settled_and_never_settle_again({"demo": self.path("volume")})
        self.assertEqual(stream.next_version().files, {"a.yaml": b"is: one"})
        os.symlink("two", self.path("next"))
        os.rename(self.path("next"), self.path("volume"))
        self.assertEqual(stream.next_version().files, {"a.yaml": b"is: two"})

    def test_a_file_source_that_is_replaced_atomically_is_published_without_settling(self):
        write(self.path("app.json"), "[1]")
        stream = self.watch_settled_and_never_settle_again({"demo": self.path("app.json")})
        self.assertEqual(stream.next_version().files, {"app.json": b"[1]"})
        write(self.path("new"), "[2]")
        os.rename(self.path("new"), self.path("app.json"))
        self.assertEqual(stream.next_version().files, {"app.json": b"[2]"})

    def watch_settled_and_never_settle_again(self, sources):
        server = self.serve(sources, defaults={"settle": "50ms"})
        self.watch(server).next_version()
        server.configure(sources, defaults=NEVER)
        server.reload()
        return self.watch(server)


class InPlaceTest(EndToEndTest):
    """Plain directories: `volume` begins with a.yaml = `n: 1` and keep = `k`."""

    def begin(self, **settings):
        os.mkdir(self.path("volume"))
        write(self.file("a.yaml"), "n: 1")
        write(self.file("keep"), "k")
        self.server = self.serve(defaults={"settle": "300ms", "max_delay": "1m", **settings})
        self.stream = self.watch(self.server)
        self.expect(1, {"a.yaml": b"n: 1", "keep": b"k"})

    def file(self, name):
        return self.path("volume", name)

    def expect(self, version, files):
        """The next snapshot is this one."""
        event = self.stream.next_version()
        self.assertEqual((event.version, event.files), (version, files))

    def expect_nothing_but_the_next_change(self, files, version):
        """Makes a change, and expects it to be the next snapshot: what came before was none."""
        write(self.file("keep"), "sentinel")
        self.expect(version, {**files, "keep": b"sentinel"})

    def test_a_file_written_in_three_chunks_is_published_once_and_whole(self):
        self.begin(settle="1s")
        write(self.file("a.yaml"), "n: 2\n")
        for part in ("m: 2\n", "l: 2\n"):
            time.sleep(0.1)
            write(self.file("a.yaml"), part, "a")
        whole = b"n: 2\nm: 2\nl: 2\n"
        self.expect(2, {"a.yaml": whole, "keep": b"k"})
        self.expect_nothing_but_the_next_change({"a.yaml": whole}, 3)

    def test_a_file_that_stays_open_between_its_chunks_is_never_published_in_part(self):
        self.begin()
        with open(self.file("a.yaml"), "w", encoding="utf-8") as file:
            for part in ("n: 2\n", "m: 2\n", "l: 2\n"):
                file.write(part)
                file.flush()
                time.sleep(0.7)  # longer than settle
        self.expect(2, {"a.yaml": b"n: 2\nm: 2\nl: 2\n", "keep": b"k"})

    def test_a_file_that_never_stops_changing_is_published_by_max_delay(self):
        self.begin(settle="400ms", max_delay="2s")
        enough = threading.Event()

        def write_on():
            number = 10
            with open(self.file("a.yaml"), "r+b", buffering=0) as file:
                while not enough.wait(0.2):
                    os.pwrite(file.fileno(), b"n:%2d" % (number := number % 90 + 1), 0)

        writing = threading.Thread(target=write_on)
        writing.start()
        try:
            for version in (2, 3):
                event = self.stream.next_version()
                self.assertEqual(event.version, version)
                self.assertTrue(writing.is_alive())
        finally:
            enough.set()
            writing.join()

    def test_an_editor_that_moves_the_file_away_writes_anew_and_deletes_the_backup_makes_one_version(self):
        self.begin()
        write(self.file("4913"), "")  # vim's question whether it may create files
        os.unlink(self.file("4913"))
        os.rename(self.file("a.yaml"), self.file("a.yaml~"))
        write(self.file("a.yaml"), "n: 2")
        os.unlink(self.file("a.yaml~"))
        self.expect(2, {"a.yaml": b"n: 2", "keep": b"k"})
        self.expect_nothing_but_the_next_change({"a.yaml": b"n: 2"}, 3)

    def test_a_file_that_is_removed_and_created_again_makes_one_version_however_long_the_gap(self):
        self.begin(settle="1500ms")
        for version, gap in ((2, 0), (3, 0.005), (4, 0.3)):
            os.unlink(self.file("a.yaml"))
            time.sleep(gap)
            write(self.file("a.yaml"), f"n: {version}")
            self.expect(version, {"a.yaml": b"n: %d" % version, "keep": b"k"})

    def test_a_file_source_that_is_removed_and_created_again_makes_one_version_however_long_the_gap(self):
        path = self.path("app.json")
        write(path, "[1]")
        stream = self.watch(self.serve({"demo": {"path": path, "settle": "1s"}}))
        self.assertEqual(stream.next_version().version, 1)
        for version, gap in ((2, 0), (3, 0.005), (4, 0.3)):
            os.unlink(path)
            time.sleep(gap)
            write(path, f"[{version}]")
            event = stream.next_version()
            self.assertEqual((event.version, event.files), (version, {"app.json": b"[%d]" % version}))

    def test_one_save_is_one_version_whichever_way_it_is_done(self):
        self.begin(settle="500ms")

        def in_place(content):
            write(self.file("a.yaml"), content)

        def in_place_with_attributes(content):
            write(self.file("a.yaml"), content)
            os.chmod(self.file("a.yaml"), 0o600)
            os.utime(self.file("a.yaml"))

        def synced(content):
            with open(self.file("a.yaml"), "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

        def renamed_over(content):
            write(self.file("a.yaml~"), content)
            os.rename(self.file("a.yaml~"), self.file("a.yaml"))

        def renamed_over_and_touched(content):
            renamed_over(content)
            os.utime(self.file("a.yaml"))

        def linked(content):
            write(self.file("a.yaml~"), content)
            os.unlink(self.file("a.yaml"))
            os.link(self.file("a.yaml~"), self.file("a.yaml"))
            os.unlink(self.file("a.yaml~"))

        saves = (in_place, in_place_with_attributes, synced, renamed_over, renamed_over_and_touched, linked)
        for version, save in enumerate(saves, start=2):
            save(f"n: {version}")
            self.expect(version, {"a.yaml": b"n: %d" % version, "keep": b"k"})
        self.expect_nothing_but_the_next_change({"a.yaml": b"n: %d" % version}, version + 1)

    def test_a_store_through_mmap_is_found_at_munmap(self):
        self.begin()
        with open(self.file("a.yaml"), "r+b") as file:
            mapped = mmap.mmap(file.fileno(), 4)
        mapped[3:4] = b"7"
        mapped.close()
        self.expect(2, {"a.yaml": b"n: 7", "keep": b"k"})

    def test_a_file_deleted_and_written_again_while_settling_is_no_deletion(self):
        self.begin()
        for content, version in (("n: 1", 1), ("n: 3", 2)):
            os.unlink(self.file("a.yaml"))
            write(self.file("a.yaml"), content)
            if version > 1:
                self.expect(version, {"a.yaml": content.encode(), "keep": b"k"})
        self.expect_nothing_but_the_next_change({"a.yaml": b"n: 3"}, 3)

    def test_a_deleted_file_is_a_deletion_once_settled(self):
        self.begin()
        os.unlink(self.file("a.yaml"))
        self.expect(2, {"keep": b"k"})

    def test_a_pair_that_is_deleted_and_written_again_is_never_published_by_half(self):
        self.begin(settle="1500ms")
        write(self.file("tls.crt"), "1")
        write(self.file("tls.key"), "1")
        rest = {"a.yaml": b"n: 1", "keep": b"k"}
        self.expect(2, {**rest, "tls.crt": b"1", "tls.key": b"1"})
        os.unlink(self.file("tls.crt"))
        os.unlink(self.file("tls.key"))
        time.sleep(0.3)
        write(self.file("tls.crt"), "2")
        time.sleep(0.3)
        write(self.file("tls.key"), "2")
        self.expect(3, {**rest, "tls.crt": b"2", "tls.key": b"2"})

    def test_rewriting_equal_content_wakes_nobody(self):
        self.begin(settle="50ms")
        for _ in range(20):
            write(self.file("a.yaml"), "n: 1")
            time.sleep(0.07)  # longer than settle: each is read
        self.expect_nothing_but_the_next_change({"a.yaml": b"n: 1"}, 2)

    def test_a_storm_of_chmod_and_chown_makes_no_version_and_no_busy_loop(self):
        os.mkdir(self.path("volume"))
        write(self.file("large"), "x" * (8 << 20))  # each reading of it takes a while
        write(self.file("keep"), "k")
        server = self.serve(defaults={"settle": "500ms", "max_delay": "2s"})
        self.stream = self.watch(server)
        self.assertEqual(self.stream.next_version().version, 1)
        cpu, began = server.cpu_seconds(), time.monotonic()
        while time.monotonic() < began + 5:
            os.chmod(self.file("large"), random.choice((0o644, 0o640)))
            os.chown(self.file("large"), os.getuid(), os.getgid())
            time.sleep(0.001)
        used, elapsed = server.cpu_seconds() - cpu, time.monotonic() - began
        self.assertLess(used / elapsed, 0.4)
        write(self.file("keep"), "sentinel")
        event = self.stream.next_version()
        self.assertEqual((event.version, event.files["keep"]), (2, b"sentinel"))

    def test_two_plain_files_that_are_rewritten_during_readings_are_never_mixed(self):
        settle = 0.2
        os.mkdir(self.path("volume"))
        padding = "x" * (2 << 20)
        slow = set()  # numbers whose writing was held up for so long that the first file had settled

        def rewrite(number):
            began = time.monotonic()
            for name in ("a", "b"):
                write(self.file(name), f"{number}\n{padding}")
            if time.monotonic() - began > settle / 2:
                slow.update((number - 1, number))

        rewrite(0)
        stream = self.watch(self.serve(defaults={"settle": f"{int(settle * 1000)}ms", "max_delay": "1h"}))
        rounds = 80
        for number in range(1, rounds):
            time.sleep(random.uniform(0.95, 1.1) * settle)  # readings begin one settle after a change
            rewrite(number)

        def numbers(event):
            return {int(content.split(b"\n", 1)[0] or -1) for content in event.files.values()}

        stream.until(lambda event: numbers(event) == {rounds - 1})
        mixed = [found for event in stream.snapshots() if len(found := numbers(event)) > 1 and not found <= slow]
        self.assertEqual(mixed, [], "-1 stands for an empty file")
        print(f"{rounds} rewritings, {len(stream.snapshots())} versions, {len(slow)} held up")


if __name__ == "__main__":
    unittest.main()
