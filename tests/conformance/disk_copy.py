"""The copy on disk as docs/clients.md has it: what a client must have written, and copies for it to find."""

import hashlib
import os
import stat

from google.protobuf import message as protobuf

from content import SOURCE, digest_of, header_of, view_digest_of
from protocol import pb


def path_of(directory, globs=()):
    text = "".join(f"{glob}\n" for glob in sorted(set(globs), key=lambda glob: glob.encode()))
    return os.path.join(directory, f"{SOURCE}.{hashlib.sha256(text.encode()).hexdigest()[:16]}.snapshot")


def serialized(version):
    copy = pb.WatchResponse(header=header_of(version.name), in_sync=True)
    for path, content in sorted(version.files.items()):
        copy.snapshot.files.add(path=path, content=content, size_bytes=len(content), digest=digest_of(content))
    copy.snapshot.view_digest = version.view_digest
    return copy.SerializeToString()


def _flip(data, version):
    content = max(version.files.values(), key=len)
    at = data.index(content) + len(content) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _other_source(data, _version):
    copy = pb.WatchResponse.FromString(data)
    copy.header.source = "other"
    return copy.SerializeToString()


def _half_of_the_files(data, _version):
    copy = pb.WatchResponse.FromString(data)
    del copy.snapshot.files[0]
    return copy.SerializeToString()


def _fragment(data, _version):
    copy = pb.WatchResponse.FromString(data)
    del copy.snapshot.files[1:]
    copy.more_fragments = True
    return copy.SerializeToString()


DAMAGES = {
    "a flipped bit": _flip,
    "truncated": lambda data, version: data[: len(data) * 2 // 3],
    "empty": lambda data, version: b"",
    "of another source": _other_source,
    "a file missing": _half_of_the_files,
    "a fragment": _fragment,
    "text": lambda data, version: b"not a snapshot\n" * 20,
    "a pipe": None,
    "a tebibyte": None,
}


def write(path, version, damage=None):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if damage == "a pipe":
        os.mkfifo(path, 0o600)
        return
    data = serialized(version)
    if damage == "a tebibyte":
        with open(path, "wb") as file:
            file.truncate(1 << 40)
        return
    if damage is not None:
        damaged = DAMAGES[damage](data, version)
        assert damaged != data
        data = damaged
    with open(path, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)


def state_of(path):
    """What changes if anybody touches the file."""
    found = os.lstat(path)
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def problem_of(path, version):
    """What is wrong with the copy of `version` at `path`; None if nothing is."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not os.path.isfile(path) or os.path.getsize(path) > 1 << 32:
            return "it is what it was"  # not to be opened
        with open(path, "rb") as file:
            copy = pb.WatchResponse.FromString(file.read())
    except FileNotFoundError:
        present = sorted(os.listdir(os.path.dirname(path))) if os.path.isdir(os.path.dirname(path)) else "nothing"
        return f"there is no {os.path.basename(path)}, but {present}"
    except protobuf.DecodeError:
        return "it is no WatchResponse"
    files = {file.path: file.content for file in copy.snapshot.files}
    checks = (
        (mode == 0o600, f"its mode is {mode:o}"),
        (copy.header.version == version.number, f"it is version {copy.header.version}"),
        (copy.header.epoch == version.epoch, f"its epoch is {copy.header.epoch}"),
        (copy.header.source == SOURCE, f"its source is {copy.header.source}"),
        (copy.header.resume_token == version.token, f"its token is `{copy.header.resume_token}`"),
        (files == version.files, "its files are others"),
        (len(copy.snapshot.files) == len(files), "it has a file in parts"),
        (not copy.more_fragments, "it says that more fragments follow"),
        (copy.snapshot.view_digest == view_digest_of(files), "its view_digest is wrong"),
        (
            all(file.size_bytes == len(file.content) and file.content_offset == 0 for file in copy.snapshot.files),
            "a file's size_bytes or content_offset is wrong",
        ),
        (all(file.digest == digest_of(file.content) for file in copy.snapshot.files), "a file's digest is wrong"),
    )
    return next((text for ok, text in checks if not ok), None)


def litter_of(directory):
    """What else is in a cache directory: a temporary file that was left."""
    return sorted(name for name in os.listdir(directory) if not name.endswith(".snapshot"))
