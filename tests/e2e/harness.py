"""What every end-to-end test has: a temporary directory, servers in processes of their own, streams from them.

ctest passes the programs in the environment: CONFSTREAMD and KUBELET_WRITER; generated stubs are in PYTHONPATH.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import grpc

from confstream.internal import grpc_protocols_pb2
from confstream.v1 import admin_service_pb2_grpc, config_service_pb2_grpc
from watch import Watch

DEADLINE = 60.0  # seconds; for what must happen, however busy the machine is


def await_true(condition, what, deadline=DEADLINE):
    """Returns the first true value of `condition()`; fails with `what` if there is none in time."""
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for: {what}")
        time.sleep(0.005)
    return value


class Server:
    """A confstreamd, with the settings as a configuration file in JSON, which is YAML.

    `preload` is a library that is to stand before the C library; `wrapper` a command that runs the one given to it.
    `heard` is called with each line of the log.
    """

    def __init__(self, directory, sources, preload="", wrapper=(), heard=None, **settings):
        self._config = os.path.join(directory, "confstream.yaml")
        self.configure(sources, **settings)
        self.process = subprocess.Popen(
            [*wrapper, os.environ["CONFSTREAMD"], "--config", self._config, "--log-format", "json"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LD_PRELOAD": preload},
            restore_signals=False,  # a limit on the size of files is an error to it then, and not its end
        )
        self._lines = []
        self._heard = heard
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self._channel = None
        self.addresses = self.await_log("ready")["listen"].split()
        self.address = self.addresses[0]

    def configure(self, sources, **settings):
        """Writes the configuration file; reload() makes a running server take it."""
        settings.setdefault("listen", ["127.0.0.1:0"])
        # A change that no event told of must not be found by chance.
        settings["defaults"] = {"rescan_interval": "1h", **settings.get("defaults", {})}
        settings["sources"] = {
            name: source if isinstance(source, dict) else {"path": source} for name, source in sources.items()
        }
        with open(self._config, "w", encoding="utf-8") as file:
            json.dump(settings, file)

    def reload(self, message="configuration reloaded"):
        """Sends SIGHUP and waits until `message` is logged once more than before."""
        before = len(self.log(message))
        self.process.send_signal(signal.SIGHUP)

        def logged():
            if self.process.poll() is not None:
                raise AssertionError(f"confstreamd ended with {self.process.returncode}")
            return len(self.log(message)) > before

        await_true(logged, f"the log line `{message}`")

    def log(self, message=None):
        """All lines of the log so far, or those with this message, as dicts."""
        return [line for line in list(self._lines) if message is None or line.get("message") == message]

    def await_log(self, message):
        def found():
            lines = self.log(message)
            if not lines and self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"confstreamd ended with {self.process.returncode}: {self.log()}")
            return lines

        return await_true(found, f"the log line `{message}` among {self.log()}")[0]

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        await_true(lambda: self._stat()[0] == "T", "the server to be stopped")

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def terminate(self):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self):
        code = self.process.wait(DEADLINE)
        self._reader.join()
        return code

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        stat = self._stat()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def channel(self):
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.address)
        return self._channel

    @property
    def stub(self):
        return config_service_pb2_grpc.ConfigServiceStub(self.channel)

    @property
    def admin(self):
        """REQUIRES: settings with admin=True."""
        return admin_service_pb2_grpc.ConfigAdminServiceStub(self.channel)

    def health(self, service):
        """The name of the service's status; SERVICE_UNKNOWN if the server does not know it."""
        check = self.channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=grpc_protocols_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=grpc_protocols_pb2.HealthCheckResponse.FromString,
        )
        try:
            response = check(grpc_protocols_pb2.HealthCheckRequest(service=service), timeout=DEADLINE)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return "SERVICE_UNKNOWN"
        return grpc_protocols_pb2.HealthCheckResponse.ServingStatus.Name(response.status)

    def close(self):
        """Ends the server if it runs. Raises AssertionError if it crashed, or does not end well."""
        if self._channel is not None:
            self._channel.close()
        code = self.process.poll()
        if code is None:
            self.go_on()
            try:
                code = self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("confstreamd does not end after SIGTERM") from None
        self._reader.join()
        self.process.stderr.close()
        if code not in (0, -signal.SIGKILL):
            raise AssertionError(f"confstreamd ended with {code}: {self.log()[-20:]}")

    def _read_log(self):
        for line in self.process.stderr:
            try:
                self._lines.append(json.loads(line))
            except ValueError:  # gRPC's own lines, or a sanitizer's
                self._lines.append({"text": line.rstrip("\n")})
            if self._heard is not None:
                self._heard(self._lines[-1])

    def _stat(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()


class EndToEndTest(unittest.TestCase):
    """A test with a directory of its own; what it starts ends with it."""

    maxDiff = 4000

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="confstream-e2e-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def serve(self, sources=None, **settings):
        """Starts a server; by default it serves self.path("volume") as `demo`."""
        server = Server(self.directory, sources or {"demo": self.path("volume")}, **settings)
        self.addCleanup(server.close)
        return server

    def watch(self, server, source="demo", **request):
        """Opens a stream on a connection of its own; what breaks a guarantee on it fails the test."""
        stream = Watch(server.address, source=source, **request)
        self.addCleanup(stream.close)
        return stream


def write(path, content, mode="w"):
    """Writes a file in place."""
    with open(path, mode, encoding="utf-8") as file:
        file.write(content)
