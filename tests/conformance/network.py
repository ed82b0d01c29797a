"""What stands between a client and the scripted server, and does what gRPC does not do on demand: it refuses, falls
silent without a word, or cuts the bytes in the middle of a message.

Thread-safe. Each direction of a connection has a thread of its own.
"""

import contextlib
import os
import socket
import struct
import threading


class _Connection:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.silent = False  # what comes from now on is swallowed, the end of the connection too
        self.budget = None  # bytes that the client is still to get, then the connection is reset
        self._lock = threading.Lock()
        self._closed = False

    def start(self):
        for source, sink in ((self.client, self.server), (self.server, self.client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def reset(self):
        """Ends it as a host that crashed: the client gets an RST, and nothing that was still on its way."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for end in (self.client, self.server):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Wakes the pump that reads from it, which close() alone does not.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RD)
                end.close()

    def _pump(self, source, sink):
        try:
            while data := source.recv(1 << 18):
                if self.silent:
                    continue
                if source is self.server and self.budget is not None:
                    data = data[: self.budget]
                    self.budget -= len(data)
                sink.sendall(data)
                if self.budget == 0:
                    break
        except OSError:
            pass
        if not self.silent:
            self.reset()


class Network:
    """An address that leads to the server that listens on the Unix socket `backend`. It refuses at first."""

    def __init__(self, backend, directory, kind="tcp"):
        self._backend = backend
        self._lock = threading.Lock()
        self._connections = []
        self._listener = None
        self._silent = False
        if kind == "unix":
            self._family, self._place = socket.AF_UNIX, os.path.join(directory, "front.sock")
            self.address = f"unix:{self._place}"
            self._holder = None
            return
        self._family, host = (socket.AF_INET6, "::1") if kind == "tcp6" else (socket.AF_INET, "127.0.0.1")
        # Keeps the port while nothing listens on it: what connects to it is refused.
        self._holder = socket.socket(self._family, socket.SOCK_STREAM)
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((host, 0))
        self._place = self._holder.getsockname()[:2]
        self.address = f"[{host}]:{self._place[1]}" if kind == "tcp6" else f"{host}:{self._place[1]}"

    def pass_all(self):
        """New connections lead to the server from now on. Those that fell silent stay so."""
        with self._lock:
            self._silent = False
            self._listen_locked()

    def refuse(self):
        """Nothing listens any more, and all connections are reset."""
        with self._lock:
            self._stop_listening_locked()
        self.cut()

    def fall_silent(self):
        """Connections stay open, and nothing passes any more; new ones are taken, and nothing passes on them either."""
        with self._lock:
            self._silent = True
            for connection in self._connections:
                connection.silent = True
            self._listen_locked()

    def cut(self):
        """Resets all connections there are."""
        with self._lock:
            connections, self._connections = self._connections, []
        for connection in connections:
            connection.reset()

    def cut_after(self, count):
        """Resets each connection when its client got so many bytes more."""
        with self._lock:
            for connection in self._connections:
                connection.budget = count

    def close(self):
        self.refuse()
        if self._holder is not None:
            self._holder.close()

    def _listen_locked(self):
        if self._listener is not None:
            return
        listener = socket.socket(self._family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._holder is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._place)
        listener.bind(self._place)
        listener.listen(128)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening_locked(self):
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()
        self._listener = None
        if self._holder is None:
            os.unlink(self._place)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                server.connect(self._backend)
                if self._family != socket.AF_UNIX:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                client.close()
                server.close()
                continue
            connection = _Connection(client, server)
            with self._lock:
                connection.silent = self._silent
                if self._listener is listener:
                    self._connections.append(connection)
                    connection.start()
                    continue
            connection.reset()
