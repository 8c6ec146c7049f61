"""A client of HTTP/2 that does what no library lets it do."""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = (
    0, 1, 3, 4, 6, 7, 8)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4  # a setting
FRAME_BYTES_MAX = 16384


def literal(name, value):
    """A header in HPACK, without indexing and without Huffman codes."""
    def text(string):
        data = string.encode()
        assert len(data) < 127
        return bytes([len(data)]) + data

    return b"\0" + text(name) + text(value)


class Connection:
    """One connection, to HOST:PORT without TLS, or over a socket that is
    connected already. Sends within the windows that the server gives, as it
    must."""

    def __init__(self, to, timeout_s=60):
        if isinstance(to, str):
            host, port = to.rsplit(":", 1)
            to = socket.create_connection((host, int(port)), timeout_s)
        self.socket = to
        self.received = bytearray()
        self.window = 65535
        self.first_window = 65535
        self.windows = {}
        self.headers = {}  # received, by stream, not decoded
        self.reset = set()
        self.is_closed = False
        self.socket.sendall(PREFACE)
        self.send_frame(SETTINGS, 0, 0, b"")

    def close(self):
        self.socket.close()

    def send_frame(self, kind, flags, stream, payload):
        self.socket.sendall(struct.pack(">I", len(payload))[1:] + bytes(
            [kind, flags]) + struct.pack(">I", stream) + payload)

    def begin_call(self, stream, path, *headers):
        block = b"".join(literal(*header) for header in (
            (":method", "POST"), (":scheme", "http"), (":path", path),
            (":authority", "test"), ("te", "trailers"),
            ("content-type", "application/grpc"), *headers))
        self.windows[stream] = self.first_window
        self.send_frame(HEADERS, END_HEADERS, stream, block)

    def send_data(self, stream, data, end=False):
        """False: the server has ended the stream or the connection."""
        view = memoryview(data)
        while len(view) > 0:
            while min(self.window, self.windows[stream]) <= 0:
                self.receive()
                if self.is_closed or stream in self.reset:
                    return False
            size = min(len(view), self.window, self.windows[stream],
                       FRAME_BYTES_MAX)
            is_last = end and size == len(view)
            try:
                self.send_frame(DATA, END_STREAM if is_last else 0, stream,
                                bytes(view[:size]))
            except OSError:
                self.is_closed = True
                return False
            self.window -= size
            self.windows[stream] -= size
            view = view[size:]
        return True

    def receive(self):
        """The next frame; waits for it. Answers settings and pings."""
        while not self.is_closed:
            frame = self._take_frame()
            if frame is not None:
                self._handle(*frame)
                return
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                data = b""
            self.is_closed = not data
            self.received += data

    def wait_for_headers(self, stream):
        """What has come of the stream's headers and trailers by its end."""
        while not self.is_closed and stream not in self.reset:
            self.receive()
        return bytes(self.headers.get(stream, b""))

    def _take_frame(self):
        if len(self.received) < 9:
            return None
        size = int.from_bytes(self.received[:3], "big")
        if len(self.received) < 9 + size:
            return None
        kind, flags = self.received[3], self.received[4]
        stream = int.from_bytes(self.received[5:9], "big") & 0x7fffffff
        payload = bytes(self.received[9:9 + size])
        del self.received[:9 + size]
        return kind, flags, stream, payload

    def _handle(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at:at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    for known in self.windows:
                        self.windows[known] += value - self.first_window
                    self.first_window = value
            self.send_frame(SETTINGS, ACK, 0, b"")
        elif kind == PING and not flags & ACK:
            self.send_frame(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big") & 0x7fffffff
            if stream == 0:
                self.window += more
            elif stream in self.windows:
                self.windows[stream] += more
        elif kind == HEADERS:
            self.headers.setdefault(stream, bytearray()).extend(payload)
            if flags & END_STREAM:
                self.reset.add(stream)
        elif kind == RST_STREAM:
            self.reset.add(stream)
        elif kind == GOAWAY:
            pass  # streams that are open go on


def message(data, compressed=False, declared=None):
    """gRPC's five bytes before a message, and the message."""
    return struct.pack(">BI", int(compressed),
                       len(data) if declared is None else declared) + data
