"""A large tree: read for the first time, with one file changed in place, and replaced by another as kubelet does.

What reading and digesting take is held against sha256sum over the same files in the same run.
"""

import itertools
import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import grpc

from report import Row
from servers import Server

FILES_PER_DIRECTORY = 100
FILE_BYTES = (100 << 20) // 10000
SETTLE = 0.5  # seconds, confstreamd's default
OLD_ENOUGH = 2.5  # seconds, after which a file is not read again if it looks the same
BUDGET_MS = 20.0  # from settling to the client
SHA256SUM = "find . -type f -print0 | sort -z | xargs -0 sha256sum"
DEADLINE = 60.0  # seconds
# confstream.v1.WatchRequest: source 1, mode 4 with WATCH_MODE_DELTA.
WATCH_DELTAS = b"\x0a\x04tree\x20\x02"


def run(context):
    """Returns the rows, and the results that they are made of."""
    files = 2000 if context.quick else 10000
    changes = 2 if context.quick else 5
    print(f"== tree: {files} files, {files * FILE_BYTES >> 20} MiB", file=sys.stderr)
    results = []
    for turn in range(context.rounds):
        with tempfile.TemporaryDirectory(prefix="confstream-bench.", dir=context.tmpfs) as directory:
            results.append(run_round(context, directory, files, changes, sha256sum_first=turn % 2 == 0))
        told = ", ".join(f"{name} {value:.4g}" for name, value in results[-1].items() if not isinstance(value, list))
        print(f"   {told}", file=sys.stderr, flush=True)
    benchmark = f"tree of {files} files, {files * FILE_BYTES >> 20} MiB"

    def values(name):
        return [result[name] for result in results]

    rows = [
        Row(benchmark, "first snapshot", "ms", values("first_ms"), "sha256sum", values("sha256sum_ms"), 1.5),
        Row(benchmark, "one file in place, after settle", "ms", values("changed_ms"), "budget", [BUDGET_MS], 1.0),
        Row(benchmark, "read for it", "KiB", values("read_kib"), "its content", [FILE_BYTES / 1024], 1.1),
        Row(benchmark, "whole new generation", "ms", values("swap_ms"), "first snapshot", values("first_ms"), 1.2),
    ]
    return rows, results


def run_round(context, directory, files, changes, sha256sum_first):
    volume = Volume(os.path.join(directory, "volume"))
    volume.prepare(files)
    volume.swap()
    small = Volume(os.path.join(directory, "small"))
    small.prepare(1)
    small.swap()
    time.sleep(OLD_ENOUGH)
    result = {}
    if sha256sum_first:
        result["sha256sum_ms"] = sha256sum(volume.generation)
    # Both start in the same way; only one has much to read.
    with TreeServer(context, small.path) as server:
        result["start_ms"] = 1e3 * (server.published(1) - server.began)
    with TreeServer(context, volume.path) as server:
        result["first_ms"] = 1e3 * (server.published(1) - server.began) - result["start_ms"]
        if not sha256sum_first:
            result["sha256sum_ms"] = sha256sum(volume.generation)
        result["all_changed_ms"], result["all_read_kib"] = change_files(server, volume, files, changes)
        volume.prepare(files)
        began = time.monotonic()
        volume.swap()
        result["swap_ms"] = 1e3 * (server.published(2 + changes) - began)
    result["changed_ms"] = statistics.median(result["all_changed_ms"])
    # For a later one that before it is read again, too, since it was too young to be trusted.
    result["read_kib"] = result["all_read_kib"][0]
    return result


def change_files(server, volume, files, changes):
    """Changes so many files in place, one after the other: from writing to the client in ms without settling, and KiB
    that the server read for each."""
    stream = Stream(server.address)
    stream.await_quiet()
    times, read_kib = [], []
    for number in range(changes):
        time.sleep(OLD_ENOUGH)  # so that the file changed last is old, too
        stamp = b"change %d of a file in place" % number
        before = server.bytes_read()
        with open(volume.file(number * files // changes), "r+b") as file:
            file.write(stamp)
        written = time.monotonic()
        times.append(1e3 * (stream.await_stamp(stamp) - written - SETTLE))
        read_kib.append((server.bytes_read() - before - server.mount_table_bytes()) / 1024)
    stream.close()
    return times, read_kib


def sha256sum(directory):
    began = time.monotonic()
    subprocess.run(SHA256SUM, shell=True, cwd=directory, stdout=subprocess.DEVNULL, check=True)
    return 1e3 * (time.monotonic() - began)


class Volume:
    """A volume as kubelet's writer makes it, with directories in it. What is prepared is there with the next swap."""

    def __init__(self, path):
        self.path = path
        self.generation = None  # the directory of the files
        self._prepared = None
        self._names = (os.path.join(path, f"..generation_{number}") for number in itertools.count(1))

    def prepare(self, files):
        self._prepared = next(self._names)
        for number in range(files):
            path = os.path.join(self._prepared, self._name(number))
            if number % FILES_PER_DIRECTORY == 0:
                os.makedirs(os.path.dirname(path))
            with open(path, "wb") as file:
                file.write(os.urandom(FILE_BYTES))

    def swap(self):
        link, fresh = (os.path.join(self.path, name) for name in ("..data", "..data_tmp"))
        os.symlink(os.path.basename(self._prepared), fresh)
        os.rename(fresh, link)
        self.generation = self._prepared

    def file(self, number):
        return os.path.join(self.generation, self._name(number))

    @staticmethod
    def _name(number):
        return f"directory-{number // FILES_PER_DIRECTORY:03}/file-{number % FILES_PER_DIRECTORY:02}.bin"


class TreeServer(Server):
    """confstreamd with limits that are high enough, serving `path` as the source `tree`."""

    def __init__(self, context, path):
        self.began = None  # when the process was started
        self._path = path
        self._published = queue.Queue()
        self._ready = queue.Queue()
        super().__init__(context.programs, context.tmpfs)

    def published(self, version):
        """When the log told that the version was published."""
        while True:
            told, when = self._published.get(timeout=DEADLINE)
            if told == version:
                return when

    def bytes_read(self):
        """By all reading calls of the process; what sockets receive is not among them."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return int(file.readline().removeprefix("rchar:"))

    def mount_table_bytes(self):
        """Which the server reads with each reading of a source."""
        with open(f"/proc/{self.process.pid}/mountinfo", "rb") as file:
            return len(file.read())

    def _start(self, programs):
        config = os.path.join(self.directory, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            source = {"path": self._path, "limits": {"max_total_size": "1GiB"}}
            json.dump({"listen": ["127.0.0.1:0"], "log_format": "json", "sources": {"tree": source}}, file)
        self.began = time.monotonic()
        self._spawn([os.path.join(programs, "confstreamd"), "--config", config], {"stderr": subprocess.PIPE})
        threading.Thread(target=self._follow, daemon=True).start()
        return self._ready.get(timeout=DEADLINE)

    def _follow(self):
        for line in self.process.stderr:
            when = time.monotonic()
            entry = json.loads(line)
            if entry["message"] == "published":
                self._published.put((entry["version"], when))
            elif entry["message"] == "ready":
                self._ready.put(entry["listen"])


class Stream:
    """A client that watches the whole tree with deltas, and decodes nothing."""

    def __init__(self, address):
        self._channel = grpc.insecure_channel(address)
        self._call = self._channel.unary_stream("/confstream.v1.ConfigService/Watch")(WATCH_DELTAS)
        self._messages = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def await_quiet(self):
        """Until the first answer, which comes in many messages, is complete."""
        self._messages.get(timeout=DEADLINE)
        try:
            while True:
                self._messages.get(timeout=1.0)
        except queue.Empty:
            return

    def await_stamp(self, stamp):
        """When a message with the stamp came."""
        while True:
            message, when = self._messages.get(timeout=DEADLINE)
            if stamp in message:
                return when

    def close(self):
        self._call.cancel()
        self._channel.close()

    def _read(self):
        try:
            for message in self._call:
                self._messages.put((message, time.monotonic()))
        except grpc.RpcError:
            pass  # whoever waits for a message will miss it
