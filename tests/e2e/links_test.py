"""Paths that lead through links, and every way in which they come to lead elsewhere."""

import os
import unittest

from harness import EndToEndTest, write
from volume import Volume

DEEP = [f"level{i}" for i in range(20)]


class LinksTest(EndToEndTest):
    """The source is `source`, a path below the test's directory; content comes from volumes, which need no settling."""

    def begin(self, *source):
        self.server = self.serve({"demo": {"path": self.path(*source), "settle": "300ms"}})
        self.stream = self.watch(self.server)

    def volume(self, *names):
        """A volume whose one file names it."""
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return Volume(path, {"is": "/".join(names)})

    def link(self, target, *names):
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)

    def replace_link(self, target, *names):
        """Atomically, as `mv -T` does."""
        self.link(target, "replacing")
        os.rename(self.path("replacing"), self.path(*names))

    def make_link_anew(self, target, *names):
        """As `ln -sfn` of BusyBox does: there is none for a moment."""
        os.unlink(self.path(*names))
        self.link(target, *names)

    def expect(self, *names):
        """The next version is that of the volume at `names`."""
        self.assertEqual(self.stream.next_version().files, {"is": "/".join(names).encode()})

    def expect_refusal(self, state, said):
        """The source is told to be in `state`, and why; what is served stays."""
        while True:
            status = self.stream.next_status(state).status
            if status.violations:
                break
        self.assertEqual([violation.rule for violation in status.violations], ["source.missing"])
        self.assertIn(said, status.violations[0].message)
        self.assertEqual(status.served_version, len(self.stream.snapshots()))

    def begin_chain(self):
        """source -> hops/one/first -> hops/two/second -> volumes/a, each in a directory that has nothing else."""
        for name in ("a", "b", "c"):
            self.volume("volumes", name)
        self.link(self.path("volumes", "a"), "hops", "two", "second")
        self.link("../two/second", "hops", "one", "first")
        self.link("hops/one/first", "source")
        self.begin("source")
        self.expect("volumes", "a")

    def test_a_swap_behind_a_chain_of_links_over_other_directories_is_seen(self):
        self.begin_chain()
        for number in range(3):
            Volume(self.path("volumes", "a")).swap({"is": str(number)})
            self.assertEqual(self.stream.next_version().files, {"is": b"%d" % number})

    def test_each_hop_of_a_chain_that_is_retargeted_is_seen(self):
        self.begin_chain()
        self.replace_link(self.path("volumes", "b"), "hops", "two", "second")
        self.expect("volumes", "b")
        self.link(self.path("volumes", "c"), "hops", "three", "second")
        self.replace_link("../three/second", "hops", "one", "first")
        self.expect("volumes", "c")
        self.make_link_anew("../two/second", "hops", "one", "first")
        self.expect("volumes", "b")
        self.replace_link("volumes/a", "source")
        self.expect("volumes", "a")
        Volume(self.path("volumes", "a")).swap({"is": "still watched"})
        self.assertEqual(self.stream.next_version().files, {"is": b"still watched"})

    def test_an_ancestor_that_is_replaced_by_rename_is_seen(self):
        old = self.volume("top", "middle", "volume")
        self.begin("top", "middle", "volume")
        self.expect("top", "middle", "volume")
        new = Volume(self.path("new", "middle", "volume"), {"is": "new"})
        os.rename(self.path("top"), self.path("old"))
        os.rename(self.path("new"), self.path("top"))
        self.assertEqual(self.stream.next_version().files, {"is": b"new"})
        Volume(self.path("old", "middle", "volume")).swap({"is": "nobody's"})
        Volume(self.path("top", "middle", "volume")).swap({"is": "newer"})
        self.assertEqual(self.stream.next_version().files, {"is": b"newer"})
        self.assertIsNotNone((old, new))

    def test_an_ancestor_of_a_links_target_that_is_replaced_by_rename_is_seen(self):
        self.volume("releases", "current", "volume")
        self.link("releases/current/volume", "source")
        self.begin("source")
        self.expect("releases", "current", "volume")
        self.volume("releases", "next", "volume")
        os.rename(self.path("releases", "current"), self.path("releases", "previous"))
        os.rename(self.path("releases", "next"), self.path("releases", "current"))
        self.expect("releases", "next", "volume")

    def test_a_missing_path_of_20_levels_that_appears_with_mkdir_is_seen(self):
        self.begin(*DEEP)
        self.expect_refusal("WAITING", self.path("level0"))
        os.makedirs(self.path(*DEEP))
        write(self.path(*DEEP, "a"), "1")
        self.assertEqual(self.stream.next_version().files, {"a": b"1"})

    def test_a_path_of_20_levels_that_goes_and_comes_back_is_seen(self):
        self.volume(*DEEP)
        self.begin(*DEEP)
        self.expect(*DEEP)
        os.rename(self.path("level0"), self.path("aside"))
        self.expect_refusal("DEGRADED", self.path("level0"))
        Volume(self.path(*DEEP), {"is": "back"})
        self.assertEqual(self.stream.next_version().files, {"is": b"back"})

    def test_a_link_loop_is_refused_with_a_clear_status_and_seen_when_mended(self):
        self.volume("volume")
        self.link("there", "back")
        self.link("back", "there")
        self.begin("there")
        self.expect_refusal("WAITING", "runs in a circle")
        self.replace_link("volume", "back")
        self.expect("volume")
        self.assertEqual(self.stream.next_status().state, "SERVING")

    def test_a_path_that_becomes_a_loop_keeps_what_is_served_and_is_seen_when_mended(self):
        self.volume("one")
        self.volume("two")
        self.link("one", "back")
        self.link("back", "there")
        self.begin("there")
        self.expect("one")
        self.replace_link("there", "back")
        self.expect_refusal("DEGRADED", "runs in a circle")
        self.make_link_anew("two", "back")
        self.expect("two")

    def test_a_dangling_link_whose_targets_parent_does_not_exist_yet_is_seen_when_it_does(self):
        self.link("not/yet/there/volume", "source")
        self.begin("source")
        self.expect_refusal("WAITING", self.path("not"))
        os.makedirs(self.path("not", "yet"))
        self.volume("elsewhere", "volume")
        os.rename(self.path("elsewhere"), self.path("not", "yet", "there"))
        self.expect("elsewhere", "volume")

    def test_a_link_that_comes_to_dangle_keeps_what_is_served_and_is_seen_when_mended(self):
        self.volume("one")
        self.link("one", "source")
        self.begin("source")
        self.expect("one")
        self.replace_link("gone/two", "source")
        self.expect_refusal("DEGRADED", self.path("gone"))
        self.volume("gone", "two")
        self.expect("gone", "two")

    def test_a_file_in_the_middle_of_the_path_is_refused_and_seen_when_it_is_a_directory(self):
        write(self.path("middle"), "a file")
        self.begin("middle", "volume")
        self.expect_refusal("WAITING", "is not a directory")
        os.unlink(self.path("middle"))
        self.volume("middle", "volume")
        self.expect("middle", "volume")


if __name__ == "__main__":
    unittest.main()
