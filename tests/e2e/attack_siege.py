"""What every attack test has: a server with a calm source beside the attacked one, a client who watches the calm source
all the time, and the measure of what an attack costs.

A line of the table `attack | answer | peak | time | bystander` is printed for each attack; docs/limits.md has them.
"""

import os
import statistics
import threading
import time

from confstream.v1 import config_service_pb2 as pb
from harness import DEADLINE, EndToEndTest, await_true
from volume import Volume

MIB = 1 << 20
# What gRPC's own threads and timers may come to beside the work of an attack.
SLACK_THREADS = 4


class Bystander(threading.Thread):
    """Swaps the calm source and waits until a client has it, again and again; notes how long each took.

    Raises AssertionError from finish() if a version did not arrive.
    """

    def __init__(self, volume, stream, first):
        super().__init__(daemon=True)
        self._volume, self._stream, self._number = volume, stream, first
        self._done = threading.Event()
        self._fault = None
        self.latencies = []  # seconds

    def run(self):
        try:
            while not self._done.is_set() or not self.latencies:
                self.latencies.append(self._swap())
                self._done.wait(0.02)
        except AssertionError as fault:
            self._fault = fault

    def finish(self):
        """Returns the number of the next swap."""
        self._done.set()
        self.join()
        if self._fault is not None:
            raise AssertionError(f"the bystander was not served during the attack: {self._fault}")
        return self._number

    def _swap(self):
        content = b"%d" % self._number
        self._number += 1
        began = time.monotonic()
        self._volume.swap({"number": content})
        self._stream.until(lambda event: event.files == {"number": content})
        return time.monotonic() - began


class Attack:
    """An attack under way. The test sets `answer`, what the server says to it."""

    def __init__(self):
        self.answer = ""


class Siege:
    """Measures attacks on a server whose source `calm` is served from `volume`."""

    def __init__(self, server, volume, stream):
        self._server, self._volume, self._stream = server, volume, stream
        self._number = 1
        self._calm_latency = statistics.median(self._watch_for(1.0).latencies)

    def attack(self, name, growth_bytes):
        """A context: resident memory may grow by `growth_bytes` at most while it lasts."""
        return _Measured(self, name, growth_bytes)

    def begin(self):
        bystander = Bystander(self._volume, self._stream, self._number)
        bystander.start()
        return bystander

    def end(self, bystander):
        self._number = bystander.finish()
        return bystander

    def memory(self, field):
        """VmRSS or VmHWM, in bytes."""
        with open(f"/proc/{self._server.process.pid}/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith(field))
        return int(line.split()[1]) << 10

    def forget_peak(self):
        """Makes VmHWM what VmRSS is."""
        with open(f"/proc/{self._server.process.pid}/clear_refs", "w", encoding="ascii") as file:
            file.write("5")

    def holdings(self):
        return {"descriptors": self._server.descriptors(), "threads": self._server.threads()}

    def await_holdings(self, before):
        """All that the attack took is given back."""

        def returned():
            now = self.holdings()
            return (
                now["descriptors"] <= before["descriptors"] and now["threads"] <= before["threads"] + SLACK_THREADS
            )

        try:
            await_true(returned, "", 20)
        except AssertionError:
            raise AssertionError(f"after the attack the server holds {self.holdings()}, before it {before}") from None

    def slowdown(self, bystander):
        """(median and worst latency in seconds, median against that without an attack)."""
        median = statistics.median(bystander.latencies)
        return median, max(bystander.latencies), median / self._calm_latency

    def _watch_for(self, seconds):
        bystander = self.begin()
        time.sleep(seconds)  # the length of the measurement; nothing is awaited
        return self.end(bystander)


class _Measured:
    def __init__(self, siege, name, growth_bytes):
        self._siege, self._name, self._growth_bytes = siege, name, growth_bytes
        self._attack = Attack()

    def __enter__(self):
        self._holdings = self._siege.holdings()
        self._siege.forget_peak()
        self._before = self._siege.memory("VmRSS")
        self._bystander = self._siege.begin()
        self._began = time.monotonic()
        return self._attack

    def __exit__(self, kind, error, trace):
        seconds = time.monotonic() - self._began
        if error is not None:
            return False
        self._siege.end(self._bystander)
        growth = max(0, self._siege.memory("VmHWM") - self._before)
        median, worst, ratio = self._siege.slowdown(self._bystander)
        print(
            f"| {self._name} | {self._attack.answer} | {growth / MIB:.1f} MiB | {seconds:.2f} s "
            f"| {median * 1e3:.0f} ms, worst {worst * 1e3:.0f} ms, {ratio:.1f} x |",
            flush=True,
        )
        if growth > self._growth_bytes:
            raise AssertionError(f"{self._name}: memory grew by {growth} bytes, and {self._growth_bytes} are allowed")
        self._siege.await_holdings(self._holdings)
        return False


class AttackTest(EndToEndTest):
    """A test with `self.server`, which serves `calm` and what besiege() is given, and `self.siege`."""

    def besiege(self, sources, **settings):
        calm = Volume(self.path("calm"), {"number": b"0"})
        settings.setdefault("shutdown_grace", "1s")
        self.server = self.serve({"calm": calm.path, **sources}, **settings)
        stream = self.watch(self.server, "calm")
        stream.next_version()
        self.status("calm")  # the test's own channel is no part of an attack
        self.siege = Siege(self.server, calm, stream)
        return self.server

    def status(self, name="demo"):
        """The status of a source, as ListSources has it."""
        sources = self.server.stub.ListSources(pb.ListSourcesRequest(), timeout=DEADLINE).sources
        return next(source.status for source in sources if source.header.source == name)
