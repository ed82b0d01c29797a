"""A client's conformance program, while a scenario runs: its process, and the lines that it prints."""

import json
import os
import subprocess
import threading
import time

# What each line must have besides `event`, with its types.
_FIELDS = {
    "change": {
        "version": int,
        "epoch": str,
        "view_digest": str,
        "files": dict,
        "old_version": (int, type(None)),
        "from_cache": bool,
        "missing_globs": list,
    },
    "settled": {"version": int, "stale": bool},
    "wait_failed": {"message": str},
    "stale": {},
    "fresh": {},
    "disconnected": {"code": str, "retry_ms": (int, float)},
    "ended": {"code": str, "stale": bool},
    "current": {"version": (int, type(None)), "stale": bool},
    "closed": {},
}

# Lines of one channel come in order; what different ones print may come in any.
_CHANNELS = {
    "change": "changes",
    "settled": "wait",
    "wait_failed": "wait",
    "stale": "staleness",
    "fresh": "staleness",
    "disconnected": "streams",
    "ended": "end",
    "current": "answers",
    "closed": "answers",
}


class DriverError(AssertionError):
    """The driver did not do what it must."""


class Driver:
    """A running driver. One thread at a time uses it."""

    def __init__(self, command, flags, log_path, note=lambda text: None):
        self._note = note  # called with each line, for people
        self._log = open(log_path, "ab")
        self._lines = []  # those not taken yet, as dicts with `at`
        self._arrived = threading.Condition()
        self._broken = None
        self._ended = False
        self.log_path = log_path
        self.process = subprocess.Popen(
            [*command, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "LC_ALL": "C.UTF-8"},  # flags and files have letters beyond ASCII
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, line):
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise DriverError(f"the driver takes no line `{line}`: {error}") from None

    def end_input(self):
        self.process.stdin.close()

    def take(self, event, deadline, skip=()):
        """Takes the next line of `event`'s channel, which must be it; passes over events in `skip`. `deadline`:
        seconds.
        """
        channel = _CHANNELS[event]
        until = time.monotonic() + deadline
        with self._arrived:
            while True:
                for line in self._lines:
                    if _CHANNELS[line["event"]] != channel or line["event"] in skip:
                        continue
                    self._lines.remove(line)
                    if line["event"] != event:
                        raise DriverError(f"expected the line `{event}`, and got {_shown(line)}")
                    return line
                if self._broken:
                    raise DriverError(self._broken)
                if self._ended:
                    raise DriverError(f"the driver ended ({self.process.poll()}) without a line `{event}`")
                if not self._arrived.wait(max(0, until - time.monotonic())) and time.monotonic() >= until:
                    raise DriverError(f"no line `{event}` in {deadline} s; not taken: {list(map(_shown, self._lines))}")

    def left(self):
        """The lines that nobody took, but for those that depend on time."""
        with self._arrived:
            if self._broken:
                raise DriverError(self._broken)
            return [line for line in self._lines if line["event"] != "disconnected"]

    def wait_exit(self, deadline):
        """The exit code; fails if the process goes on for longer."""
        try:
            code = self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise DriverError(f"the driver did not exit in {deadline} s") from None
        self._reader.join(5)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(5)
        for end in (self.process.stdin, self.process.stdout, self._log):
            try:
                end.close()
            except OSError:
                pass  # what stdin still held

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _read(self):
        for raw in self.process.stdout:
            text = raw.decode("utf-8", "replace").rstrip("\n")
            self._note(text if len(text) < 2000 else text[:2000] + "...")
            try:
                line = json.loads(text)
                problem = _problem(line)
            except ValueError:
                problem = "is no JSON"
            with self._arrived:
                if problem is None:
                    self._lines.append({**line, "at": time.monotonic()})
                else:
                    self._broken = self._broken or f"the driver's line {problem}: {text[:500]}"
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()


def _problem(line):
    if not isinstance(line, dict) or line.get("event") not in _FIELDS:
        return "has no event that docs/clients.md knows"
    for name, types in _FIELDS[line["event"]].items():
        value = line.get(name, _FIELDS)
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            return f"has no right `{name}`"
    return None


def _shown(line):
    shown = json.dumps({key: value for key, value in line.items() if key != "at"})
    return shown if len(shown) < 400 else shown[:400] + "..."
