"""A gRPC client over a bare socket that decides itself what it reads: one call
of Generate over HTTP/2 (RFC 9113), with a window as small as the test wants."""

import socket
import struct
import time

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4
STREAM = 1

HEADER_LIST = (
    (":method", "POST"), (":scheme", "http"), (":authority", "localhost"),
    (":path", "/tandem.v1.GenerationService/Generate"),
    ("content-type", "application/grpc"), ("te", "trailers"))


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + struct.pack(
        ">BBI", kind, flags, stream) + payload


def literal(text):
    return bytes([len(text)]) + text.encode()


class RawCall:
    """The call is open when this is made. What the server sends stays in the
    socket until `read`."""

    def __init__(self, address, request, window):
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._bytes = b""
        self._messages = b""
        self.is_over = False
        message = request.SerializeToString()
        self._socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
            frame(SETTINGS, 0, 0,
                  struct.pack(">HI", INITIAL_WINDOW_SIZE, window)) +
            # Header fields without indexing, their names spelt out (RFC 7541).
            frame(HEADERS, END_HEADERS, STREAM, b"".join(
                b"\0" + literal(name) + literal(value)
                for name, value in HEADER_LIST)) +
            frame(DATA, END_STREAM, STREAM,
                  struct.pack(">BI", 0, len(message)) + message))

    def close(self):
        self._socket.close()

    def widen(self, window):
        """Lets the server send so many bytes more."""
        for stream in (0, STREAM):
            self._socket.sendall(frame(WINDOW_UPDATE, 0, stream,
                                       struct.pack(">I", window)))

    def read(self, limit_seconds):
        """Reads until the call is over; the messages' bytes."""
        end = time.monotonic() + limit_seconds
        while not self.is_over:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            received = self._socket.recv(1 << 16)
            if not received:
                raise AssertionError("the server has closed the connection")
            self._bytes += received
            while self._take_frame():
                pass
        messages = []
        while self._messages:
            length = struct.unpack(">I", self._messages[1:5])[0]
            messages.append(self._messages[5:5 + length])
            self._messages = self._messages[5 + length:]
        return messages

    def _take_frame(self):
        if len(self._bytes) < 9:
            return False
        length = struct.unpack(">I", b"\0" + self._bytes[:3])[0]
        if len(self._bytes) < 9 + length:
            return False
        kind, flags, stream = struct.unpack(">BBI", self._bytes[3:9])
        payload = self._bytes[9:9 + length]
        self._bytes = self._bytes[9 + length:]
        if kind in (SETTINGS, PING) and not flags & ACK:
            self._socket.sendall(frame(
                kind, ACK, 0, payload if kind == PING else b""))
        if stream == STREAM:
            if kind == DATA:
                self._messages += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                self.is_over = True
        return True
