"""The servers under test: confstreamd and what it is held against, each in a process of its own on loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_DEADLINE = 30.0  # seconds


class Server:
    """A running server, gone with the `with` block. `kind` is what watch_load calls it; `feed` where that publishes."""

    kind = "bare"

    def __init__(self, programs, tmpfs):
        self.directory = tempfile.mkdtemp(prefix="confstream-bench.", dir=tmpfs)
        self.feed = ""
        self._log = open(os.path.join(self.directory, "log"), "w+", encoding="utf-8")
        self.process = None
        try:
            self.address = self._start(programs)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, programs):
        """Starts the process and returns the address that it listens on."""
        raise NotImplementedError

    def _spawn(self, command, output):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **{"stdout": self._log, "stderr": self._log, **output})

    def _await(self, condition, what):
        """Returns the first true value of `condition()`."""
        end = time.monotonic() + START_DEADLINE
        while not (value := condition()):
            if self.process.poll() is not None or time.monotonic() > end:
                self._log.seek(0)
                raise RuntimeError(f"{what} did not start; its last words: {self._log.read()[-1000:]}")
            time.sleep(0.01)
        return value


class Confstreamd(Server):
    """confstreamd with its defaults, serving a volume on tmpfs as the source `bench`.

    Further sources, `bench-2` and so on, are directories with one file each.
    """

    kind = "confstream"

    def __init__(self, programs, tmpfs, sources=1):
        self.sources = ["bench", *(f"bench-{number}" for number in range(2, sources + 1))]
        super().__init__(programs, tmpfs)

    def _start(self, programs):
        self.feed = os.path.join(self.directory, self.sources[0])
        command = [os.path.join(programs, "confstreamd"), "--listen", "127.0.0.1:0", "--log-format", "json"]
        for source in self.sources:
            directory = os.path.join(self.directory, source)
            command += ["--source", f"{source}={directory}"]
            if directory != self.feed:
                os.mkdir(directory)
                with open(os.path.join(directory, "file"), "w", encoding="utf-8") as file:
                    file.write("as it is\n")
        self._spawn(command, {})
        return self._await(self._ready, "confstreamd")

    def _ready(self):
        with open(self._log.name, encoding="utf-8") as log:
            for line in log:
                if line.endswith("\n") and json.loads(line).get("message") == "ready":
                    return json.loads(line)["listen"]
        return None


class Etcd(Server):
    """etcd with its data on tmpfs, and without fsync where it has that switch."""

    kind = "etcd"

    def _start(self, programs):
        client, peer = (f"http://127.0.0.1:{port}" for port in free_ports(2))
        command = [
            "etcd", "--data-dir", os.path.join(self.directory, "data"),
            "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}",
        ]
        if "--unsafe-no-fsync" in _output(["etcd", "--help"]):
            command.append("--unsafe-no-fsync")
        self._spawn(command, {})
        address = client.removeprefix("http://")
        # It listens before it serves, but the first Put waits until it does.
        self._await(lambda: _accepts(address), "etcd")
        return address


class BareCallback(Server):
    """The smallest server on the callback API."""

    program = "bare_callback_server"
    arguments = []

    def _start(self, programs):
        self.feed = os.path.join(self.directory, "feed")
        command = [os.path.join(programs, self.program), self.feed, *self.arguments]
        self._spawn(command, {"stdout": subprocess.PIPE})
        port = self.process.stdout.readline().strip()
        if not port:
            raise RuntimeError(f"{self.program} did not start")
        return f"127.0.0.1:{int(port)}"


class BareQueue(BareCallback):
    """The smallest server on one completion queue with one thread."""

    program = "bare_queue_server"


def queues(count):
    """The same with as many queues, each with a thread."""
    return type(f"Bare{count}Queues", (BareQueue,), {"arguments": [str(count)]})


SERVERS = {
    "confstream": Confstreamd,
    "etcd": Etcd,
    "callback": BareCallback,
    "queue": BareQueue,
    "queue2": queues(2),
    "queue4": queues(4),
    "queue8": queues(8),
}


def etcd_version():
    return _output(["etcd", "--version"]).splitlines()[0].removeprefix("etcd Version: ")


def free_ports(count):
    """Ports of loopback that nobody listens on at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _output(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _accepts(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
