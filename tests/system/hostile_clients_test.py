"""What one client does with connections, sizes and slowness does not end the
service for the others: every listener of every process, by real processes."""

import concurrent.futures
import contextlib
import itertools
import pathlib
import socket
import subprocess
import time
import unittest
import urllib.request
import zlib

import processes
import raw_http2

MIB = 1 << 20
DESCRIPTORS = 256
# Memory that a process may take beside what its bounds allow: buffers of
# connections, the allocator's own, and what other requests need.
OTHER_BYTES = 100 * MIB
# services/common/listen/inbound_limits.cc: gRPC counts an eighth of the memory,
# at most 128 MiB, which take up to 2.4 times that.
INBOUND_BYTES_MAX = 3 * 128 * MIB
# zlib's, for what gRPC calls these encodings.
WINDOW_BITS = {"gzip": 31, "deflate": 15}
CONVERSE = "/tandem.v1.GenerationService/Converse"


def status_bytes(pid, field):
    """Of /proc/PID/status."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} of process {pid}")


@contextlib.contextmanager
def peak_growth(test, pid, limit_bytes, what):
    """The process's memory grows by no more than that meanwhile."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # resets the peak
    before = status_bytes(pid, "VmRSS")
    yield
    grown = status_bytes(pid, "VmHWM") - before
    test.assertLess(grown / MIB, limit_bytes / MIB, what)


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)),
                                    processes.LIMIT_SECONDS)


class LimitedCluster(processes.Cluster):
    """Processes with few descriptors, at ports. The target has an admin
    service."""

    def __init__(self):
        super().__init__(tls=lambda name: [], drafts=0)
        self.wait_for_workers(1, 0)

    def start(self, name, program, *arguments):
        if name in self.targets:
            arguments += ("--admin-listen", "127.0.0.1:0",
                          "--admin-address-file", self.folder / "admin")
        super().start(name, "/bin/sh", "-c",
                      f'ulimit -n {DESCRIPTORS}; exec "$@"', "sh",
                      processes.BIN / program, *arguments)

    def ports(self):
        """Every address that a process listens at, by its name."""
        return {"generation": self.coordinator,
                "worker": self.address("target"),
                "admin": (self.folder / "admin").read_text().strip(),
                "coordinator metrics": self.address("coordinator", "metrics"),
                "worker metrics": self.address("target", "metrics")}


class HostileClientsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = LimitedCluster()
        cls.pids = {name: process.pid
                    for name, process in cls.cluster.processes.items()}

    @classmethod
    def tearDownClass(cls):
        codes = cls.cluster.stop()
        if any(codes.values()):
            raise AssertionError(f"exit codes on SIGTERM: {codes}")

    def generate(self):
        return self.cluster.tandem("generate", "Once", "--max-tokens=4")

    def assert_serves(self):
        """Every port does; a turn may have to wait for its worker."""
        def has_generated():
            return self.generate().returncode == 0

        processes.wait_until(has_generated, "a turn is served")
        for name in ("coordinator", "target"):
            self.cluster.metrics(name)
        admin = subprocess.run(
            [processes.BIN / "tandem", "admin", "models", "--admin",
             self.cluster.ports()["admin"]], capture_output=True,
            timeout=processes.LIMIT_SECONDS, check=False)
        self.assertEqual(admin.returncode, 0, admin.stderr.decode())

    def test_more_connections_than_descriptors(self):
        for name, address in self.cluster.ports().items():
            with self.subTest(port=name), contextlib.ExitStack() as held:
                for _ in range(DESCRIPTORS + 100):
                    held.enter_context(connect(address))
                time.sleep(1)
                # Operators are served meanwhile, unless theirs is the port.
                for other in ("coordinator", "target"):
                    self.cluster.metrics(other)
            self.assert_serves()
        for name in ("coordinator", "target"):
            series, _ = self.cluster.metrics(name)
            self.assertGreater(series[
                'tandem_connections_refused_total{bound="descriptors"}'], 0)

    def test_connections_that_say_nothing(self):
        with contextlib.ExitStack() as held:
            silent = [held.enter_context(connect(self.cluster.coordinator))
                      for _ in range(DESCRIPTORS)]
            begin = time.monotonic()
            for client in silent:
                with contextlib.suppress(ConnectionError):
                    while client.recv(4096):
                        pass
            self.assertLess(time.monotonic() - begin, 20)
            # While they are still open at this end.
            self.assertEqual(self.generate().returncode, 0)

    def bomb(self, size, encoding):
        """A request of `size` letters in field 1 or 2, packed."""
        packer = zlib.compressobj(9, zlib.DEFLATED, WINDOW_BITS[encoding])
        parts = [packer.compress(b"\x12" + varint(size))]
        block = b"a" * MIB
        parts += [packer.compress(block) for _ in range(size // MIB)]
        return b"".join(parts) + packer.flush()

    def test_small_messages_that_inflate(self):
        bombs = {encoding: self.bomb(256 * MIB, encoding)
                 for encoding in WINDOW_BITS}
        ports = self.cluster.ports()
        for (port, process, path), encoding in itertools.product((
                ("generation", "coordinator",
                 "/tandem.v1.GenerationService/Tokenize"),
                ("generation", "coordinator", CONVERSE),
                ("worker", "target", "/tandem.v1.WorkerService/Describe"),
                ("worker", "target", "/tandem.v1.WorkerService/Decode"),
                ("admin", "target",
                 "/tandem.v1.WorkerAdminService/UnloadModel"),
                ("admin", "target", "/grpc.health.v1.Health/Check")),
                bombs):
            self.assertLess(len(bombs[encoding]), MIB)
            with self.subTest(path=path, encoding=encoding), peak_growth(
                    self, self.pids[process], 32 * MIB, path):
                connection = raw_http2.Connection(ports[port])
                connection.begin_call(1, path, ("grpc-encoding", encoding))
                connection.send_data(
                    1, raw_http2.message(bombs[encoding], True), end=True)
                answer = connection.wait_for_headers(1)
                connection.close()
                self.assertIn(b"\x0bgrpc-status\x0212", answer)
        self.assert_serves()

    def send_unfinished_messages(self):
        """Of 4 MiB less a byte, on 200 streams of one connection."""
        part = raw_http2.message(b"\0" * (4 * MIB - 1), declared=4 * MIB)
        connection = raw_http2.Connection(self.cluster.coordinator)
        for stream in range(1, 401, 2):
            connection.begin_call(stream, CONVERSE)
            connection.send_data(stream, part)
            if connection.is_closed:
                break
        return connection

    def test_messages_without_an_end(self):
        # What the first one took is there for the second one.
        with peak_growth(self, self.pids["coordinator"],
                         INBOUND_BYTES_MAX, "200 streams"):
            for _ in range(2):
                connection = self.send_unfinished_messages()
                begin = time.monotonic()
                self.assert_serves()
                self.assertLess(time.monotonic() - begin, 10)
                connection.close()

    def test_one_message_of_a_gigabyte(self):
        pid = self.pids["coordinator"]
        with peak_growth(self, pid, INBOUND_BYTES_MAX,
                         "1 GiB declared"):
            connection = raw_http2.Connection(self.cluster.coordinator)
            connection.begin_call(1, CONVERSE)
            connection.send_data(1, raw_http2.message(b"", declared=1 << 30))
            for _ in range(512):
                if not connection.send_data(1, bytes(MIB)):
                    break
            connection.close()
        self.assert_serves()


class MetricsPortTest(processes.ClusterTest):

    def test_slow_senders_and_endless_headers(self):
        pid = self.cluster.processes["coordinator"].pid
        address = self.cluster.address("coordinator", "metrics")
        header = b"X: " + b"x" * 1000 + b"\r\n"

        def slow(_):
            with contextlib.suppress(OSError), connect(address) as client:
                for byte in b"GET /metrics HTTP/1.1\r\nHost: a\r\n" * 3:
                    client.sendall(bytes([byte]))
                    time.sleep(0.2)

        def endless(_):
            with contextlib.suppress(OSError), connect(address) as client:
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
                for _ in range(50000):
                    client.sendall(header)

        with peak_growth(self, pid, OTHER_BYTES, "headers"), \
                concurrent.futures.ThreadPoolExecutor(24) as pool:
            attacks = [pool.submit(slow, None) for _ in range(20)]
            attacks += [pool.submit(endless, None) for _ in range(4)]
            scrapes = 0
            while not all(attack.done() for attack in attacks):
                begin = time.monotonic()
                with urllib.request.urlopen(f"http://{address}/metrics",
                                            timeout=5) as response:
                    self.assertIn(b"tandem_sessions", response.read())
                self.assertLess(time.monotonic() - begin, 5)
                scrapes += 1
                time.sleep(0.1)
            self.assertGreater(scrapes, 10)


def varint(value):
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


if __name__ == "__main__":
    processes.main()
