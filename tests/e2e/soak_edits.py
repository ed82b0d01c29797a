"""The sources of a soak that are edited in place or linked to: directories, a single file, a chain of links."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess

from harness import await_true
from soak_sources import GONE, NUMBERED, SPOILT, Source


class PlainSource(Source):
    """A directory whose files are edited one by one."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.path = self._inside = os.path.join(self._directory, "plain")
        self._files = self._new_files()
        with self._changing("made", self._files):
            write_tree(self._inside, self._files)

    def do_edit(self):
        path = self._chance.choice(NUMBERED)
        content = self._content(path)
        with self._becoming(f"edit {path}", {**self._files, path: content}):
            write_file(os.path.join(self._inside, path), content)

    def do_edit_several(self):
        for _ in range(self._chance.randrange(2, 6)):
            self.do_edit()

    def do_replace(self):
        path = self._chance.choice(NUMBERED)
        content = self._content(path)
        new = os.path.join(self._directory, "new")
        write_file(new, content)
        os.makedirs(os.path.dirname(os.path.join(self._inside, path)), exist_ok=True)
        with self._becoming(f"replace {path}", {**self._files, path: content}):
            os.rename(new, os.path.join(self._inside, path))

    def do_add_or_remove(self):
        path = f"extra-{self._chance.randrange(3)}"
        files = dict(self._files)
        if files.pop(path, None) is not None:
            with self._becoming(f"remove {path}", files):
                os.unlink(os.path.join(self._inside, path))
        else:
            files[path] = self._content(path)
            with self._becoming(f"add {path}", files):
                write_file(os.path.join(self._inside, path), files[path])

    def do_remove_a_directory(self):
        if "sub/deep.toml" in self._files:
            files = {path: content for path, content in self._files.items() if path != "sub/deep.toml"}
            with self._becoming("remove sub", files):
                os.rename(os.path.join(self._inside, "sub"), os.path.join(self._directory, "removed"))
            shutil.rmtree(os.path.join(self._directory, "removed"))

    def do_write_invalid_content(self):
        path = self._chance.choice(sorted(SPOILT))
        with self._becoming(f"invalid {path}", {**self._files, path: SPOILT[path]}):
            write_file(os.path.join(self._inside, path), SPOILT[path])

    def do_mend(self):
        for path in [path for path, content in SPOILT.items() if self._files.get(path) == content]:
            content = self._content(path)
            with self._becoming(f"mend {path}", {**self._files, path: content}):
                write_file(os.path.join(self._inside, path), content)

    def do_what_changes_nothing(self):
        for _ in range(20):
            os.chmod(os.path.join(self._inside, "notes.txt"), self._chance.choice([0o600, 0o644]))
        write_file(os.path.join(self._inside, "app.yaml~"), b"a: [")
        os.unlink(os.path.join(self._inside, "app.yaml~"))

    def do_replace_the_directory(self):
        with self._changing("directory gone", states=GONE):
            os.rename(self._inside, self._inside + ".old")
        shutil.rmtree(self._inside + ".old")
        files = self._new_files()
        write_tree(self._inside + ".new", files)
        with self._becoming("directory there again", files):
            os.rename(self._inside + ".new", self._inside)

    def _becoming(self, what, files):
        self._files = files
        valid = all(files.get(path) != content for path, content in SPOILT.items())
        return self._changing(what, *([files] if valid else []), states=("SERVING",) if valid else GONE)


class HangingSource(PlainSource):
    """A directory on a file system whose server may stop to answer. Needs the right to mount, and FUSE."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        mounted = os.path.join(self._directory, "mounted")
        # One level up, so that the directory itself can be replaced.
        behind = os.path.join(self._directory, "behind")
        os.mkdir(mounted)
        os.mkdir(behind)
        os.rename(self._inside, os.path.join(behind, "plain"))
        self._inside, self.path = os.path.join(behind, "plain"), os.path.join(mounted, "plain")
        # Nothing from a cache: what is read is what was written.
        fresh = "attr_timeout=0,entry_timeout=0,negative_timeout=0"
        self._mounted = mounted
        self._fuse = subprocess.Popen(["bindfs", "-f", "-o", fresh, behind, mounted], stdin=subprocess.DEVNULL)
        await_true(lambda: os.path.ismount(mounted), "the mount of bindfs")

    def hang(self):
        self._fuse.send_signal(signal.SIGSTOP)

    def answer_again(self):
        self._fuse.send_signal(signal.SIGCONT)

    def close(self):
        self._fuse.kill()
        self._fuse.wait()
        subprocess.run(["umount", "--lazy", self._mounted], check=True)


class ChainSource(Source):
    """A link to a link to one of several directories, as git-sync and release tools have it."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.path = os.path.join(self._directory, "first")
        self._generations = itertools.count(1)
        self._files = {}
        self._generation = ""
        os.mkdir(os.path.join(self._directory, "hops"))
        os.symlink("hops/second", self.path)
        self.do_retarget()

    def do_retarget(self):
        old = self._make_generation()
        with self._changing("retarget", self._files):
            self._link(os.path.join(self._directory, "new-link"))
            os.rename(os.path.join(self._directory, "new-link"), os.path.join(self._directory, "hops/second"))
        self._remove(old)

    def do_retarget_in_two_steps(self):
        old = self._make_generation()
        with self._changing("link gone", states=GONE):
            os.unlink(os.path.join(self._directory, "hops/second"))
        with self._changing("link there again", self._files):
            self._link(os.path.join(self._directory, "hops/second"))
        self._remove(old)

    def do_replace_the_hops(self):
        old = self._make_generation()
        hops = os.path.join(self._directory, "hops")
        os.mkdir(hops + ".new")
        self._link(os.path.join(hops + ".new", "second"))
        with self._changing("hops gone", states=GONE):
            os.rename(hops, hops + ".old")
        with self._changing("hops there again", self._files):
            os.rename(hops + ".new", hops)
        shutil.rmtree(hops + ".old")
        self._remove(old)

    def do_let_the_first_link_dangle(self):
        with self._changing("first link dangles", states=GONE):
            os.symlink("nowhere/second", self.path + ".new")
            os.rename(self.path + ".new", self.path)
        with self._changing("first link leads home", self._files):
            os.symlink("hops/second", self.path + ".new")
            os.rename(self.path + ".new", self.path)

    def do_edit_at_the_end_of_the_chain(self):
        path = self._chance.choice(NUMBERED)
        files = {**self._files, path: self._content(path)}
        with self._changing(f"edit {path}", files):
            write_file(os.path.join(self._generation, path), files[path])
        self._files = files

    def _make_generation(self):
        """Makes a new directory, which is to be linked to; returns the old one."""
        old = self._generation
        self._files = self._new_files(self._files)
        self._generation = os.path.join(self._directory, f"generation-{next(self._generations)}")
        write_tree(self._generation, self._files)
        return old

    def _link(self, path):
        os.symlink(self._generation, path)

    def _remove(self, generation):
        if generation:
            shutil.rmtree(generation)


class FileSource(Source):
    """A single file."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.path = os.path.join(self._directory, "single.yaml")
        self.do_edit()

    def do_edit(self):
        content = self._content("single.yaml")
        with self._changing("edit", {"single.yaml": content}):
            write_file(self.path, content)

    def do_replace(self):
        content = self._content("single.yaml")
        write_file(self.path + ".new", content)
        with self._changing("replace", {"single.yaml": content}):
            os.rename(self.path + ".new", self.path)

    def do_write_invalid_content(self):
        with self._changing("invalid", states=GONE):
            write_file(self.path, b"a: [")

    def do_remove(self):
        with self._changing("removed", states=GONE), contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def do_save_as_an_editor(self):
        """Moves the file away, writes a new one, deletes the old."""
        if os.path.exists(self.path):
            with self._changing("moved away", states=GONE):
                os.rename(self.path, self.path + "~")
            self.do_edit()
            os.unlink(self.path + "~")


def write_file(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


def write_tree(path, files):
    for name, content in files.items():
        write_file(os.path.join(path, name), content)
