"""A client that follows one source from server to server, and comes back with its token whenever its stream ends.

As a program, it follows with a process of its own, which can be stopped: follower.py NAME PLACE REQUEST, a request
being the fields of a WatchRequest in JSON. Prints what it records, a line each, and ends with its standard input.
"""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import grpc

from records import ClientPaused, ClientResumed
from recording import Recorder, from_line
from watch import Watch, ending_of

RETRY_SECONDS = 0.1
DOWN_SECONDS = 0.4  # when there was no server to answer, and none is announced
# Otherwise gRPC reads megabytes ahead, and a client that does not read is no burden for a long time.
CHANNEL_OPTIONS = [("grpc.http2.bdp_probe", 0)]


def announce(place, run, address):
    """Tells followers where the server is: `place` is a file."""
    with open(place + ".new", "w", encoding="utf-8") as file:
        file.write(f"{run} {address}")
    os.rename(place + ".new", place)


class Follower:
    """Runs on a thread of its own until stop()."""

    def __init__(self, name, place, recorder, **request):
        self.name = name
        self.source = request["source"]
        self._place = place
        self._recorder = recorder
        self._request = request
        self.held = None  # the last event, with the content that the client has
        self.contents = 0
        self._watch_id = ""
        self._stream = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        self._stopping.set()
        self.cancel()
        self._thread.join()

    def cancel(self, forget=False):
        """Ends the stream. The next one begins anew if the client is to `forget` what it has, or resumes."""
        if forget:
            self.held = None
        stream = self._stream
        if stream is not None:
            stream.cancel()

    def pause(self):
        """Reads no more."""
        self._recorder.add(ClientPaused(client=self.name))
        stream = self._stream
        if stream is not None:
            stream.pause()

    def go_on(self):
        stream = self._stream
        if stream is not None:
            stream.go_on()
        self._recorder.add(ClientResumed(client=self.name))

    def report(self, outcome, reason=""):
        """Reports the outcome of the version that the client has. False: there is none, or the report failed."""
        stream, held = self._stream, self.held
        if stream is None or held is None:
            return False
        try:
            stream.report(self._watch_id, held.version, outcome, reason)
        except grpc.RpcError:
            # It may have been taken all the same: end what it is about.
            stream.cancel()
            return False
        return True

    def _run(self):
        number = 0
        while not self._stopping.is_set():
            place = self._read_place()
            answered = False
            if place:
                run, address = place.split()
                number += 1
                answered = self._follow(address, int(run), f"{self.name}/{number}")
            end = time.monotonic() + (RETRY_SECONDS if answered else DOWN_SECONDS)
            while not self._stopping.wait(0.01) and time.monotonic() < end and self._read_place() == place:
                pass

    def _read_place(self):
        try:
            with open(self._place, encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _follow(self, address, run, name):
        """One stream, to its end. Returns whether anything came."""
        held = self.held
        token = held.token if held is not None else ""
        fields = {**self._request, "client_id": self.name, "resume_token": token}
        stream = self._stream = Watch(
            address, CHANNEL_OPTIONS, recorder=self._recorder, stream=name, run=run, held=held, **fields
        )
        if self._stopping.is_set():
            stream.cancel()
        answered = False
        while (event := stream.wait()) is not None:
            answered = True
            stream.events.clear()
            self._take(event)
        self._stream = None
        if ending_of(stream.call).code == grpc.StatusCode.OUT_OF_RANGE or stream.fault is not None:
            self.held = None
        with contextlib.suppress(AssertionError):  # what was wrong is recorded
            stream.close()
        return answered

    def _take(self, event):
        self._watch_id = event.watch_id or self._watch_id
        if event.kind == "snapshot" or (event.kind == "heartbeat" and event.files):
            self.held = event
            self.contents += event.kind == "snapshot"
        elif self.held is not None and event.version:
            # The token of any message stands for the content that there is.
            self.held = dataclasses.replace(self.held, header=event.header)


class FollowerProcess:
    """A follower in a process of its own, which can be stopped."""

    def __init__(self, name, place, recorder, **request):
        self.name = name
        self.source = request["source"]
        self._recorder = recorder
        command = [sys.executable, os.path.abspath(__file__), name, place]
        self._process = subprocess.Popen(
            [*command, json.dumps(request)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def pause(self):
        self._recorder.add(ClientPaused(client=self.name))
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)
        self._recorder.add(ClientResumed(client=self.name))

    def stop(self):
        self._process.communicate()

    def _read(self):
        for line in self._process.stdout:
            self._recorder.add(from_line(line))


def main(name, place, request):
    recorder = Recorder(file=sys.stdout)
    sys.stdout.reconfigure(line_buffering=True)
    follower = Follower(name, place, recorder, **json.loads(request))
    sys.stdin.read()
    follower.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
