"""HTTP/2 as no client library speaks it: frames by hand, over a plain socket."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, flags=0):
    """HPACK's integer with a prefix of so many bits."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([flags | value])
    encoded, value = [flags | most], value - most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded + [value])


def header(name, value):
    """A literal header, neither indexed nor Huffman-coded."""
    name, value = name.encode(), value if isinstance(value, bytes) else value.encode()
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def call_headers(method):
    return b"".join(
        header(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "attacker"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        )
    )


def message(request):
    """A request as gRPC frames it."""
    encoded = request.SerializeToString()
    return b"\0" + struct.pack(">I", len(encoded)) + encoded


WATCH = "/confstream.v1.ConfigService/Watch"


class Connection:
    """A connection that has sent the preface and its settings, and reads only what it is told to.

    Raises ConnectionError when the server has closed it.
    """

    def __init__(self, address, greet=True):
        if address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(60)
            self.socket.connect(address.removeprefix("unix:"))
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)), timeout=60)
        self._stream = -1
        if greet:
            self.send(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data):
        self.socket.sendall(data)

    def open_windows(self):
        """Lets the server send as much as HTTP/2 can express."""
        largest = (1 << 31) - 1
        self.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, largest)))  # of each stream
        self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", largest - 65535)))

    def call(self, method, request, most=None):
        """The bytes that open a call, and the number of its stream. `most`: only so many bytes of the request, and no end.

        REQUIRES: what is sent fits into a frame, 16 KiB.
        """
        self._stream += 2
        opened = frame(HEADERS, END_HEADERS, self._stream, call_headers(method))
        if most is None:
            opened += frame(DATA, END_STREAM, self._stream, message(request))
        else:
            opened += frame(DATA, 0, self._stream, message(request)[:most])
        return opened, self._stream

    def frames(self):
        """Each frame that comes, as (kind, flags, stream, payload), until the connection ends."""
        while True:
            head = self._receive(9)
            if head is None:
                return
            length = int.from_bytes(head[:3], "big")
            kind, flags, stream = struct.unpack(">BBI", head[3:])
            payload = self._receive(length)
            if payload is None:
                return
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            if kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
            yield kind, flags, stream, payload

    def ending(self):
        """How the server ended the connection or the first stream, as text."""
        try:
            for kind, _, _, payload in self.frames():
                if kind == RST_STREAM:
                    return f"RST_STREAM, error {int.from_bytes(payload, 'big')}"
                if kind == GOAWAY:
                    return f"GOAWAY, error {int.from_bytes(payload[4:8], 'big')}, {payload[8:].decode(errors='replace')}"
                if kind == HEADERS:
                    text = payload.decode("ascii", errors="replace")
                    return "error: " + text[text.find("grpc-message") + 13 :] if "grpc-message" in text else "served"
        except ConnectionError as error:
            return f"connection ended: {error}"
        return "connection closed"

    def finish(self):
        """Sends no more, and reads to the end: the server has taken all that was sent."""
        self.socket.shutdown(socket.SHUT_WR)
        while self.socket.recv(1 << 16):
            pass

    def close(self):
        self.socket.close()

    def _receive(self, length):
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            if not part:
                return None
            data += part
        return data
