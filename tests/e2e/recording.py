"""Writes the history of a test, as records.py has it: to a checker, and to a file, since it may outgrow memory."""

import hashlib
import json
import sys
import threading

from records import Content, Record

KINDS = {cls.__name__: cls for cls in Record.__subclasses__()}


class Recorder:
    """Puts records into one order: hands each to `take`, if given, and writes it to `file`, if given. Thread-safe."""

    def __init__(self, take=None, file=None):
        self.lock = threading.Lock()  # held while a record is taken
        self._take = take
        self._file = file
        self._contents = set()  # digests that were recorded
        self.counts = {}  # kind -> how many

    def add(self, added):
        with self.lock:
            if isinstance(added, Content):
                if added.digest in self._contents:
                    return
                self._contents.add(added.digest)
            kind = type(added).__name__
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if self._file is not None:
                self._file.write(to_line(added))
            if self._take is not None:
                self._take(added)

    def content(self, files):
        """Records what the digest of these files stands for, and returns it. `files`: path -> bytes."""
        hashes = hashes_of(files)
        digest = tree_digest(hashes)
        self.add(Content(digest=digest, files=hashes))
        return digest


def to_line(added):
    fields = {name: getattr(added, name) for cls in type(added).__mro__ for name in getattr(cls, "__slots__", ())}
    return json.dumps({"record": type(added).__name__, **fields}, separators=(",", ":")) + "\n"


def from_line(line):
    fields = json.loads(line)
    kind = KINDS[fields.pop("record")]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})


def hashes_of(files):
    return {path: sys.intern(hashlib.sha256(content).hexdigest()) for path, content in files.items()}


def tree_digest(hashes):
    """`sha256:<hex>` of what sha256sum prints in byte order of the paths. `hashes`: path -> SHA-256 as hex."""
    lines = []
    for path in sorted(hashes, key=lambda path: path.encode()):
        escaped = path.replace("\\", "\\\\").replace("\n", "\\n")
        mark = "\\" if escaped != path else ""
        lines.append(f"{mark}{hashes[path]}  {escaped}\n")
    return sys.intern("sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest())
