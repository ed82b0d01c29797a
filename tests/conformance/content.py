"""What scenarios call a version: a letter for its epoch and its number, as in A2; its files, and the messages that send
it.
"""

import dataclasses
import functools
import hashlib
import re

from protocol import pb

SOURCE = "demo"
FRAGMENT_BYTES = 1 << 20  # what a real server puts into a message


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def view_digest_of(files):
    """Of path -> bytes: as `sha256sum` would print them, in byte order of paths."""
    return _view_digest({path: digest_of(content) for path, content in files.items()})


def _view_digest(digests):
    paths = sorted(digests, key=lambda path: path.encode())
    return digest_of("".join(f"{digests[path].removeprefix('sha256:')}  {path}\n" for path in paths).encode())


def text_of(text):
    """A text, or {begin: TEXT, repeat: TEXT, times: NUMBER}."""
    return text["begin"] + text["repeat"] * text["times"] if isinstance(text, dict) else str(text)


def bytes_of(content):
    """A file's bytes from what a scenario says of it: text_of, or {size: BYTES, seed: TEXT} for many."""
    if not isinstance(content, dict) or "size" not in content:
        return text_of(content).encode()
    size = content["size"]
    seed = str(content.get("seed", "")).encode()
    block = b"".join(hashlib.sha256(seed + b"%d" % i).digest() for i in range(512))  # 16 KiB
    whole = bytearray()
    while len(whole) < size:
        # The number makes every block another, so that blocks in the wrong order do not go unnoticed.
        whole += b"%12d" % len(whole) + block
    return bytes(whole[:size])


@dataclasses.dataclass(frozen=True)
class Version:
    """One version of the source. Immutable."""

    name: str  # A2
    files: dict  # path -> bytes
    digests: dict  # path -> digest

    @property
    def epoch(self):
        return epoch_of(self.name)

    @property
    def number(self):
        return int(self.name[1:])

    @property
    def token(self):
        return token_of(self.name)

    @functools.cached_property
    def view_digest(self):
        return _view_digest(self.digests)


def epoch_of(name):
    return name[0].lower().encode().hex() * 16


def token_of(name):
    return f"token-{name}"


class Versions:
    """All versions of a scenario. `declared`: name -> files; A1..A9 declares nine, with {n} for the number."""

    def __init__(self, declared):
        self._files = {}
        self._made = {}
        for name, files in (declared or {}).items():
            series = re.fullmatch(r"([A-Z])(\d+)\.\.\1(\d+)", name)
            if series is None and not re.fullmatch(r"[A-Z]\d+", name):
                raise ValueError(f"a version is called A1 or A1..A9, not {name}")
            if series is None:
                self._files[name] = files
                continue
            for n in range(int(series[2]), int(series[3]) + 1):
                self._files[f"{series[1]}{n}"] = {path: text.replace("{n}", str(n)) for path, text in files.items()}

    def __getitem__(self, name):
        if name not in self._made:
            if name not in self._files:
                raise ValueError(f"the scenario declares no version {name}")
            files = {}
            for path, content in self._files[name].items():
                if isinstance(content, dict) and "names" in content:
                    files |= {f"{path}{n:05}".ljust(60_000, "x"): b"x" for n in range(content["names"])}
                else:
                    files[path] = bytes_of(content)
            digests = {path: digest_of(content) for path, content in files.items()}
            self._made[name] = Version(name, files, digests)
        return self._made[name]

    def between(self, first, last):
        """The names from A1 to A9, both of them included."""
        return [f"{first[0]}{n}" for n in range(int(first[1:]), int(last[1:]) + 1)]


def header_of(name):
    """The header without a digest, which clients do not use."""
    header = pb.ResponseHeader(source=SOURCE, epoch=epoch_of(name), version=int(name[1:]))
    if header.version > 0:
        header.resume_token = token_of(name)
        header.publish_time.seconds = 1_700_000_000 + header.version
        header.origin = pb.SNAPSHOT_ORIGIN_FILES
    return header


def _parts(version, paths, limit):
    """Splits files into lists of ConfigFile, each with at most `limit` bytes of content."""
    fragments, room = [[]], limit
    for path in sorted(paths, key=lambda path: path.encode()):
        content, offset = version.files[path], 0
        while True:
            if room == 0:
                fragments.append([])
                room = limit
            part = content[offset : offset + room]
            fragments[-1].append(
                pb.ConfigFile(
                    path=path,
                    content=part,
                    content_offset=offset,
                    size_bytes=len(content),
                    digest=version.digests[path],
                    content_type="text/plain",
                    last_changed_version=version.number,
                )
            )
            offset, room = offset + len(part), room - len(part)
            if offset == len(content):
                break
    return fragments


def _limit(version, paths, fragments):
    if fragments is None:
        return FRAGMENT_BYTES
    total = sum(len(version.files[path]) for path in paths)
    if total < fragments:
        raise ValueError(f"{version.name} has {total} bytes, too few for {fragments} fragments")
    return -(-total // fragments)


def _finish(messages, version, reason, missing):
    for message in messages:
        message.header.CopyFrom(header_of(version.name))
        message.reason = reason
        message.more_fragments = message is not messages[-1]
        message.in_sync = message is messages[-1]
    event = getattr(messages[-1], messages[-1].WhichOneof("event"))
    event.missing_globs.extend(missing)
    return messages


def snapshot_messages(version, reason, fragments=None, missing=()):
    """The messages that send a version whole; `fragments`: in about so many, otherwise as a real server would."""
    messages = []
    for files in _parts(version, version.files, _limit(version, version.files, fragments)):
        message = pb.WatchResponse()
        message.snapshot.view_digest = version.view_digest
        message.snapshot.files.extend(files)
        messages.append(message)
    return _finish(messages, version, reason, missing)


def delta_messages(version, base, reason, fragments=None, missing=()):
    """The messages that send what makes `version` of `base`; removed paths come in the last."""
    changed = [path for path, content in version.files.items() if base.files.get(path) != content]
    messages = []
    for files in _parts(version, changed, _limit(version, changed, fragments)):
        message = pb.WatchResponse()
        message.delta.base_version = base.number
        message.delta.view_digest = version.view_digest
        message.delta.changed_files.extend(files)
        messages.append(message)
    removed = sorted((path for path in base.files if path not in version.files), key=lambda path: path.encode())
    messages[-1].delta.removed_paths.extend(removed)
    return _finish(messages, version, reason, missing)


def patch(message, changes):
    """Sets fields by their paths: {snapshot.files.0.content_offset: 7}; `+` adds to a repeated field."""
    for path, value in changes.items():
        *way, last = path.split(".")
        at = message
        for name in way:
            at = at[int(name)] if name.isdigit() else getattr(at, name)
        if last == "+":
            at.append(value)
        else:
            if isinstance(value, str) and isinstance(getattr(at, last), bytes):
                value = value.encode()
            setattr(at, last, value)
