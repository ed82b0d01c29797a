"""A ConfigMap volume, written in kubelet's way; the storms are written by the program kubelet_writer."""

import os
import shutil
import subprocess
import tempfile
import time


class Volume:
    """Swaps all files at once: key -> ..data/key, ..data -> ..<timestamp>.<random>, real files in there."""

    def __init__(self, path, files=None):
        self.path = path
        os.makedirs(path, exist_ok=True)
        if files is not None:
            self.swap(files)

    def swap(self, files):
        """Makes the volume hold just `files`: relative path -> str or bytes."""
        timestamped = tempfile.mkdtemp(prefix=time.strftime("..%Y_%m_%d_%H_%M_%S.", time.gmtime()), dir=self.path)
        os.chmod(timestamped, 0o755)
        for path, content in files.items():
            target = os.path.join(timestamped, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        data, tmp = os.path.join(self.path, "..data"), os.path.join(self.path, "..data_tmp")
        old = os.readlink(data) if os.path.islink(data) else None
        os.symlink(os.path.basename(timestamped), tmp)
        os.rename(tmp, data)
        keys = {path.split("/")[0] for path in files}
        for key in keys:
            if not os.path.islink(os.path.join(self.path, key)):
                os.symlink(os.path.join("..data", key), os.path.join(self.path, key))
        for name in os.listdir(self.path):
            if not name.startswith("..") and name not in keys:
                os.unlink(os.path.join(self.path, name))
        if old is not None:
            shutil.rmtree(os.path.join(self.path, old))


def start_storm(path, first, swaps, interval="1ms", generation="current"):
    """Starts a process that swaps `path` so often; its two files `a` and `b` carry the number of the swap."""
    return subprocess.Popen(
        [os.environ["KUBELET_WRITER"], path, "--first", str(first), "--swaps", str(swaps)]
        + ["--interval", interval, "--generation", generation],
        stdout=subprocess.DEVNULL,
    )


def storm(path, first, swaps, interval="1ms", generation="current"):
    """As start_storm, to its end."""
    with start_storm(path, first, swaps, interval, generation) as process:
        if process.wait() != 0:
            raise AssertionError(f"kubelet_writer ended with {process.returncode}")


def number_of(event):
    """The number that all files of a storm's snapshot carry. Raises AssertionError if it is torn or lacks a key."""
    contents = set(event.files.values())
    if set(event.files) != {"a", "b"} or len(contents) != 1:
        raise AssertionError(f"torn: {event.files}")
    return int(contents.pop().removeprefix(b"number: "))
