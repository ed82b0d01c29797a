"""The sources of a soak: each knows how its files can be changed, and records every state that it brings about.

A change that passes through states of its own, such as a file replaced in two steps, is as many changes.
"""

import contextlib
import itertools
import os
import shutil
import subprocess

from records import ChangeBegun, ChangeEnded
from volume import Volume

NUMBERED = ("app.json", "app.yaml", "notes.txt", "sub/deep.toml", "blob.bin")
SPOILT = {"app.json": b"{", "app.yaml": b"a: [", "sub/deep.toml": b"="}
# The largest needs fragments, and a stream that is not read cannot take many of them.
BLOB_BYTES = (1_000, 30_000, 120_000, 120_000, 1_300_000)
GONE = ("DEGRADED",)
# The bind mount's directory below lives on, or it does not; and what is under a mount point may be there or not.
UNMOUNTED = ("DEGRADED", "DETACHED")


class Source:
    """`chance` decides what is done. Subclasses list what can be done in `actions`; each leaves the source in order."""

    def __init__(self, name, directory, chance, recorder):
        self.name = name
        self._chance = chance
        self._recorder = recorder
        self._directory = os.path.join(directory, name)
        self._numbers = itertools.count(1)
        self._changes = itertools.count(1)
        self._past = []  # contents to go back to
        os.mkdir(self._directory)

    def close(self):
        """Nothing of it stays but files."""

    @property
    def actions(self):
        return [getattr(self, name) for name in sorted(dir(type(self))) if name.startswith("do_")]

    def _content(self, path):
        number = next(self._numbers)
        if path == "blob.bin":
            return self._chance.randbytes(self._chance.choice(BLOB_BYTES))
        texts = {"json": '{{"number": {}}}\n', "yaml": "number: {}\n", "toml": "number = {}\n"}
        return texts.get(path.rpartition(".")[2], "{}\n").format(number).encode()

    def _new_files(self, before=None):
        """All new, or `before` with some changed, added and removed; or what there was some time ago."""
        if not before:
            files = {path: self._content(path) for path in NUMBERED}
        elif self._past and self._chance.random() < 0.15:
            files = self._chance.choice(self._past)
        else:
            files = dict(before)
            for path in self._chance.sample(NUMBERED, self._chance.randrange(1, 4)):
                files[path] = self._content(path)
            extra = f"extra-{self._chance.randrange(3)}"
            if self._chance.random() < 0.3:
                files[extra] = self._content(extra)
            elif extra in files:
                del files[extra]
        self._past = [*self._past[-4:], files]
        return files

    @contextlib.contextmanager
    def _changing(self, what, *contents, states=("SERVING",)):
        """The source has these contents, one after the other, last; without any, it is invalid or gone."""
        digests = tuple(self._recorder.content(files) for files in contents)
        newest = digests[-1] if digests else ""
        change = next(self._changes)
        self._recorder.add(
            ChangeBegun(source=self.name, change=change, what=what, valid=digests, newest=newest, states=states)
        )
        yield
        self._recorder.add(ChangeEnded(source=self.name, change=change))


class VolumeSource(Source):
    """A ConfigMap volume."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.path = os.path.join(self._directory, "volume")
        self._files = {}
        self._volume = Volume(self.path)
        self.do_swap()

    def do_swap(self):
        self._files = self._new_files(self._files)
        with self._changing("swap", self._files):
            self._volume.swap(self._files)

    def do_swap_often(self):
        contents = [self._new_files(self._files)]
        for _ in range(self._chance.randrange(5, 30)):
            contents.append(self._new_files(contents[-1]))
        self._files = contents[-1]
        with self._changing("swap often", *contents):
            for files in contents:
                self._volume.swap(files)

    def do_swap_in_invalid_content(self):
        path = self._chance.choice(sorted(SPOILT))
        with self._changing(f"invalid {path}", states=GONE):
            self._volume.swap({**self._new_files(self._files), path: SPOILT[path]})

    def do_swap_to_nothing(self):
        self._files = {}
        with self._changing("optional ConfigMap deleted", {}):
            self._volume.swap({})

    def do_lose_the_data_link(self):
        data = os.path.join(self.path, "..data")
        old = os.path.join(self.path, os.readlink(data))
        with self._changing("no ..data", states=GONE):
            os.unlink(data)
        self.do_swap()
        shutil.rmtree(old)

    def do_replace_the_directory(self):
        with self._changing("directory gone", states=GONE):
            os.rename(self.path, self.path + ".old")
        shutil.rmtree(self.path + ".old")
        self._files = self._new_files(self._files)
        made = Volume(self.path + ".new", self._files)
        with self._changing("directory there again", self._files):
            os.rename(made.path, self.path)


class MountSource(VolumeSource):
    """A volume behind a bind mount, which can go and come. Needs the right to mount."""

    def __init__(self, *arguments):
        self._backings = itertools.count(1)
        super().__init__(*arguments)
        self._inside = self.path
        self.path = os.path.join(self._directory, "mounted")
        self._mounts = 0  # on one another
        os.mkdir(self.path)
        self._mount()

    def do_unmount(self):
        with self._changing("unmounted", states=UNMOUNTED):
            self._unmount()
        self._remount()

    def do_replace_the_directory(self):
        """The mounted directory is deleted on the host: what is mounted will never change again."""
        with self._changing("deleted under the mount", states=UNMOUNTED):
            shutil.rmtree(self._inside)
        with self._changing("unmounted, too", states=UNMOUNTED):
            self._unmount()  # nothing can be mounted on a directory that was deleted
        self._remount()

    def close(self):
        while self._mounts:
            self._unmount()

    def _unmount(self):
        subprocess.run(["umount", "--lazy", self.path], check=True)
        self._mounts -= 1

    def _remount(self):
        self._inside = os.path.join(self._directory, f"backing-{next(self._backings)}")
        self._files = self._new_files(self._files)
        self._volume = Volume(self._inside, self._files)
        with self._changing("mounted", self._files):
            self._mount()

    def _mount(self):
        subprocess.run(["mount", "--bind", self._inside, self.path], check=True)
        self._mounts += 1
