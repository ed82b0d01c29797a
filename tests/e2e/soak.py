"""Everything at once, by chance, for as long as you like; the history checker judges it.

Several kinds of sources are changed in every way, several kinds of clients follow them, the server is paused, killed,
ended and started again, its disk is filled, its limits are lowered. Every now and then nothing is done, and everybody
has to end at the newest valid content. One seed decides what is done; when things happen inside the server, it does not.
"""

import argparse
import collections
import contextlib
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import grpc

from checker import Checker
from confstream.v1 import config_service_pb2 as pb
from follower import Follower, FollowerProcess
from recorded_server import RecordedServer
from recording import Recorder
from soak_edits import ChainSource, FileSource, HangingSource, PlainSource
from soak_report import print_report
from soak_sources import MountSource, VolumeSource

QUIET_SECONDS = 60.0  # within which all must arrive, however busy the machine is
BETWEEN_QUIETS = 40  # actions
STEADY_FROM = 0.4  # of a long run: from then on it is one server, whose memory is measured
LONG_SECONDS = 600.0  # and with fewer changes, not every source holds as many versions as it may yet
# Not possible without namespaces of one's own.
ISOLATED = ("limit watches", "limit instances")
CLIENTS = {
    "every": {"every_version": True},
    "latest": {},
    "delta": {"mode": pb.WATCH_MODE_DELTA},
}
VIEWS = {
    "app": {"path_globs": ["app.*"], "mode": pb.WATCH_MODE_DELTA},
    "deep": {"path_globs": ["sub/**", "extra-*"], "heartbeat_interval": 1.0},
    "slow": {"min_update_interval": 0.5},
    "every-app": {"path_globs": ["app.*", "*.txt"], "every_version": True, "mode": pb.WATCH_MODE_DELTA},
}


class Soak:
    """`isolated`: in user and mount namespaces of its own, where it may mount and set limits."""

    def __init__(self, directory, seed, seconds, history, isolated):
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._isolated = isolated
        self.checker = Checker()
        self.recorder = Recorder(take=self.checker.take, file=history)
        self.actions = collections.Counter()
        self.settling = []  # seconds that it took
        self.samples = []
        self._later = []  # (when, what): ends of things that last
        self._directory = directory
        self._sources = []
        self._clients = []
        self._processes = []
        self._server = None
        self._removed = set()  # names of sources that the configuration leaves out
        self._possible = {
            name: weight
            for name, weight in WEIGHTS.items()
            if (isolated or name not in ISOLATED) and (name != "hang" or (isolated and has_fuse()))
        }

    def start(self):
        kinds = {"volume": VolumeSource, "plain": PlainSource, "chain": ChainSource, "file": FileSource}
        if self._isolated:
            kinds["mount"] = MountSource
        if "hang" in self._possible:
            kinds["hanging"] = HangingSource
        for name, kind in kinds.items():
            self._sources.append(kind(name, self._directory, self._chance, self.recorder))
        paths = {source.name: source.path for source in self._sources}
        self._server = RecordedServer(self._directory, paths, self.recorder, max_versions=10)
        os.mkdir(self._server.state)
        self._ballast = os.path.join(self._server.state, "ballast")
        if self._isolated:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self._server.state], check=True)
        self._server.start()
        for source in self._sources:
            wanted = {**CLIENTS, **(VIEWS if source.name in ("volume", "plain") else {})}
            for kind, request in wanted.items():
                self._follow(Follower, f"{source.name}-{kind}", self._clients, source=source.name, **request)
        for name in ("volume", "plain"):
            mode = pb.WATCH_MODE_DELTA
            self._follow(FollowerProcess, f"{name}-process", self._processes, source=name, mode=mode)

    def _follow(self, kind, name, clients, **request):
        clients.append(kind(name, self._server.place, self.recorder, **request))

    def run(self):
        """Until the time is over, or something is broken."""
        begun = time.monotonic()
        deck, done = [], 0
        while (passed := time.monotonic() - begun) < self._seconds and not self.checker.broken:
            steady = self._seconds >= LONG_SECONDS and passed > self._seconds * STEADY_FROM
            if not deck:
                deck = [name for name, weight in self._possible.items() for _ in range(weight)]
                self._chance.shuffle(deck)
            name = deck.pop()
            if steady and name in RESTARTS:
                continue
            self._act(name)
            done += 1
            time.sleep(min(1.0, self._chance.expovariate(1 / 0.1)))
            self._end_what_lasts(until=time.monotonic())
            if done % BETWEEN_QUIETS == 0:
                self._be_quiet()
        if not self.checker.broken:
            self._be_quiet()

    def close(self):
        """Ends all that was started."""
        self._end_what_lasts()
        for client in self._clients + self._processes:
            client.stop()
        for source in self._sources:
            source.close()
        if self._server is not None:
            self._server.close()
            if os.path.ismount(self._server.state):
                subprocess.run(["umount", self._server.state], check=True)

    def _act(self, name):
        told = self._try(getattr(self, "_" + name.replace(" ", "_")))
        if self._server.has_ended():
            self._server.close()  # and the checker knows that nobody asked for it
        self.actions[told or name] += 1

    def _be_quiet(self):
        self._end_what_lasts()
        begun = time.monotonic()
        names = [client.name for client in self._clients + self._processes]
        self._server.come_to_rest(self.checker, names, QUIET_SECONDS)
        self.settling.append(time.monotonic() - begun)
        if not self.checker.broken:
            self.samples.append(self._server.sample())

    def _try(self, action):
        """A server that ended by itself fails what is done to it, and the checker is to say so."""
        try:
            return action()
        except (AssertionError, OSError, grpc.RpcError):
            if not self._server.has_ended():
                raise
            return None

    def _end_what_lasts(self, until=math.inf):
        over = [each for each in self._later if each[0] <= until]
        self._later = [each for each in self._later if each[0] > until]
        for _, what in over:
            self._try(what)

    def _in(self, least, most, what):
        self._later.append((time.monotonic() + self._chance.uniform(least, most), what))

    # What can be done.

    def _change(self):
        source = self._chance.choice(self._sources)
        action = self._chance.choice(source.actions)
        action()
        return f"{source.name}: {action.__name__.removeprefix('do_').replace('_', ' ')}"

    def _roll_back(self):
        # What can be chosen from depends on the server; so the choice must not advance `chance`.
        own = random.Random(self._chance.random())
        self._server.roll_back(self._chance.choice(self._sources).name, own)

    def _unpin(self):
        self._server.unpin(self._chance.choice(self._sources).name)

    def _look(self):
        self._server.see_sources()
        self._server.see_watchers()

    def _cancel(self):
        self._chance.choice(self._clients).cancel()

    def _forget(self):
        self._chance.choice(self._clients).cancel(forget=True)

    def _stall(self):
        client = self._chance.choice(self._clients)
        client.pause()
        self._in(1.0, 16.0, client.go_on)

    def _stop_a_client(self):
        process = self._chance.choice(self._processes)
        process.pause()
        self._in(0.5, 8.0, process.go_on)

    def _report(self):
        client = self._chance.choice(self._clients)
        outcome = self._chance.choice([pb.OUTCOME_APPLIED, pb.OUTCOME_REJECTED])
        client.report(outcome, "soak" if outcome == pb.OUTCOME_REJECTED else "")

    def _kill(self):
        self._answer_again()
        self._server.kill()
        self._start()

    def _terminate(self):
        self._answer_again()
        self._server.terminate()
        self._start()

    def _start(self):
        """Perhaps after changes that nobody watched, and with a slow disk."""
        for _ in range(self._chance.randrange(3)):
            self._change()
        self._removed = set()
        slow = self._chance.random() < 0.3
        self._server.start(preload=os.environ["SLOW_SYNC"] if slow else "")

    def _pause_the_server(self):
        self._server.signal("STOP")
        for _ in range(self._chance.randrange(1, 4)):
            self._change()
        time.sleep(self._chance.uniform(0.0, 1.5))
        self._server.signal("CONT")

    def _hang(self):
        """A file system does not answer: for longer than is waited for, or not."""
        source = next(source for source in self._sources if source.name == "hanging")
        source.hang()
        self._in(0.5, 6.0, source.answer_again)

    def _answer_again(self):
        """A thread whose request FUSE's server has taken cannot be ended by anybody, not by SIGKILL either."""
        for source in self._sources:
            if source.name == "hanging":
                source.answer_again()

    def _reload(self):
        self._server.reload(without=self._removed)

    def _remove_a_source(self):
        name = self._chance.choice(self._sources).name
        self._removed = {name}
        self._server.reload(without=self._removed)
        self._in(0.5, 4.0, self._add_the_source)

    def _add_the_source(self):
        if self._removed:
            self._removed = set()
            self._server.reload()

    def _fill_the_disk(self):
        self._in(2.0, 10.0, self._free_the_disk)
        if not self._isolated:
            self._limit_file_size(0)
            return
        with open(self._ballast, "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def _free_the_disk(self):
        if not self._isolated:
            self._limit_file_size(resource.RLIM_INFINITY)
        elif os.path.exists(self._ballast):
            os.unlink(self._ballast)

    def _limit_file_size(self, size):
        if not self._server.has_ended():
            limits = (size, resource.RLIM_INFINITY)
            resource.prlimit(self._server.process_id, resource.RLIMIT_FSIZE, limits)

    def _limit_watches(self):
        self._limit("watches", 1)
        self._in(1.0, 8.0, lambda: self._limit("watches", 100_000))

    def _limit_instances(self):
        """The server that starts now has no inotify at all."""
        self._limit("instances", 0)
        self._terminate()
        self._in(1.0, 8.0, lambda: self._limit("instances", 1000))

    def _limit(self, what, number):
        with open(f"/proc/sys/user/max_inotify_{what}", "w", encoding="utf-8") as file:
            file.write(str(number))


# How often each is done, of as many as the sum is.
WEIGHTS = {
    "change": 60,
    "roll back": 5,
    "unpin": 4,
    "look": 4,
    "cancel": 6,
    "forget": 3,
    "stall": 5,
    "stop a client": 3,
    "report": 6,
    "kill": 3,
    "terminate": 2,
    "pause the server": 4,
    "hang": 2,
    "reload": 2,
    "remove a source": 1,
    "fill the disk": 1,
    "limit watches": 1,
    "limit instances": 1,
}
RESTARTS = ("kill", "terminate", "limit instances")


def has_fuse():
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("bindfs") is not None


def isolate(arguments):
    """Starts again in user and mount namespaces of its own, if that is allowed."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        os.execvp(unshare[0], [*unshare, sys.executable, __file__, "--isolated", *arguments])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--history", default="", help="keep the history in this file, for checker.py")
    parser.add_argument("--isolated", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    arguments = ["--minutes", str(given.minutes), "--seed", str(given.seed)]
    if not given.isolated:
        print(f"seed {given.seed}; to repeat: ./dev soak --minutes {given.minutes:g} --seed {given.seed}", flush=True)
        isolate([*arguments, "--history", given.history])
        print("no namespaces of one's own here: no mounts, and no limits of inotify", flush=True)
    elif not has_fuse():
        print("no FUSE for this user, or no bindfs: no file system hangs", flush=True)
    with tempfile.TemporaryDirectory(prefix="confstream-soak-") as directory:
        path = given.history or os.path.join(directory, "history.jsonl")
        with open(path, "w", encoding="utf-8") as history:
            soak = Soak(directory, given.seed, given.minutes * 60, history, given.isolated)
            try:
                soak.start()
                soak.run()
            finally:
                soak.close()
    broken = soak.checker.finish()
    print_report(soak, broken)
    if broken:
        print(f"seed {given.seed}; to repeat: ./dev soak --minutes {given.minutes:g} --seed {given.seed}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
