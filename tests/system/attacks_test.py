"""Hostile clients (http2_attacker.py) at each listener, by itself and behind
the proxy of deploy/edge: the servers' memory stays bounded and comes back, and
the turns of others go on.

TANDEM_ATTACK_SECONDS is how long each attack takes; tests/README.md says how
the long form runs. What gRPC alone does not bound is tried behind the proxy
only."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

import edge
import processes
import turns
from turns import pb2

ATTACKER = pathlib.Path(__file__).with_name("http2_attacker.py")
SECONDS = float(os.environ.get("TANDEM_ATTACK_SECONDS", "1"))
LONG_SECONDS = 10
MIB = 1 << 20
# Of one process above what it had before the attacks: at any time, and after
# one, which the allocator keeps.
GROWTH_BYTES_MAX = 100 * MIB
# What unfinished messages may take of a port at most: gRPC counts 128 MiB, which
# take up to 2.4 times that (inbound_limits.cc).
INBOUND_BYTES_MAX = 3 * 128 * MIB
LEFT_BYTES_MAX = 64 * MIB
BACK_SECONDS_MAX = 60
# Nobody else is refused for longer.
REFUSED_SECONDS_MAX = 5
# Within which the proxy cuts who does not come to the point: 5 s for headers,
# 8 s for a message, and what a busy machine adds.
CUT_SECONDS_MAX = 12

# Where attackers come from: another address than the others.
SOURCE = "127.0.0.2"
ALL = ("coordinator", "worker", "admin", "edge")
CONVERSE = "/tandem.v1.GenerationService/Converse"
GENERATE = "/tandem.v1.GenerationService/Generate"


class Listener:
    def __init__(self, address, path, tls_ca=None):
        self.address = address
        self.path = path
        self.tls_ca = tls_ca

    def command(self, name, seconds, path=None, source=SOURCE):
        tls = ["--tls-ca", self.tls_ca] if self.tls_ca else []
        return [sys.executable, "-B", ATTACKER, name, self.address, "--path",
                path or self.path, "--seconds", str(seconds), "--source",
                source, *tls]

    def attack(self, *arguments, **options):
        """The process of the attacker."""
        return subprocess.Popen(self.command(*arguments, **options),
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE)


class Others:
    """A client that runs short turns one after another, in a with block; the
    last one begins after it."""

    def __init__(self, channel):
        self._channel = channel
        self._stub = turns.pb2_grpc.GenerationServiceStub(channel)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.errors = []
        self.ends = []  # of turns that succeeded, and when the block began
        self.first_tokens_s = []  # what those of theirs took

    def __enter__(self):
        self.ends.append(time.monotonic())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._channel.close()

    def _run(self):
        while True:
            is_last = self._stop.is_set()
            begin = time.monotonic()
            try:
                turn = pb2.TurnRequest(text="Once", options={
                    **turns.GREEDY, "max_tokens": 2})
                first = None
                for event in self._stub.Generate(
                        pb2.GenerateRequest(turn=turn),
                        timeout=REFUSED_SECONDS_MAX):
                    if first is None and event.HasField("tokens"):
                        first = time.monotonic()
                self.ends.append(time.monotonic())
                self.first_tokens_s.append(first - begin)
                if is_last:
                    return
            except grpc.RpcError as error:
                self.errors.append(f"{error.code()}: {error.details()}")
                if begin - self.ends[-1] > REFUSED_SECONDS_MAX:
                    return
            time.sleep(0.01)

    def longest_refused_s(self):
        ends = self.ends + [time.monotonic()]
        return max(after - before for before, after in zip(ends, ends[1:]))


class Meter:
    """The most memory that processes had in a with block."""

    def __init__(self, watched):
        self._watched = watched
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.peaks = {}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.wait(0.02):
            for name, process in self._watched.items():
                self.peaks[name] = max(self.peaks.get(name, 0),
                                       processes.resident_bytes(process))


class AttackTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        cls.addClassCleanup(folder.cleanup)
        admin_file = pathlib.Path(folder.name) / "admin"
        # Sessions of the others, which are kept, are no attack's.
        cls.cluster = processes.Cluster(drafts=0, flags={
            "coordinator": ["--session-idle-seconds", "1"],
            "target": ["--admin-listen", "127.0.0.1:0", "--admin-address-file",
                       admin_file]})
        cls.addClassCleanup(cls.stop_cluster)
        certs = edge.make_certs(cls)
        cls.edge = edge.Edge(certs, cls.cluster.coordinator)
        cls.addClassCleanup(cls.edge.stop)
        cls.listeners = {
            "coordinator": Listener(cls.cluster.coordinator, CONVERSE),
            "worker": Listener(cls.cluster.address("target"),
                               "/tandem.v1.WorkerService/Decode"),
            "admin": Listener(admin_file.read_text().strip(),
                              "/tandem.v1.WorkerAdminService/LoadModel"),
            "edge": Listener(cls.edge.address, CONVERSE,
                             certs / "client/ca.crt"),
        }
        cls.watched = {
            "coordinator": cls.cluster.processes["coordinator"],
            "worker": cls.cluster.processes["target"],
            **{f"edge {process.pid}": process
               for process in cls.edge.processes()}}
        # What a process takes for its first calls is no attack's.
        with cls.near(), cls.far():
            time.sleep(0.5)
        cls.before = cls.now()

    @classmethod
    def stop_cluster(cls):
        codes = cls.cluster.stop()
        if any(codes.values()):
            raise AssertionError(f"exit codes on SIGTERM: {codes}")

    @classmethod
    def near(cls):
        return Others(grpc.insecure_channel(cls.cluster.coordinator))

    @classmethod
    def far(cls):
        return Others(cls.edge.channel())

    def growth(self, bytes_by_name, before=None):
        return {name: (now - (before or self.before)[name]) // MIB
                for name, now in bytes_by_name.items()}

    @classmethod
    def now(cls):
        return {name: processes.resident_bytes(process)
                for name, process in cls.watched.items()}

    def withstand(self, attack, *names, growth_max=GROWTH_BYTES_MAX):
        """The attack at these listeners at once."""
        before = self.now()
        with (Meter(self.watched) as meter, self.near() as near,
              self.far() as far):
            attackers = {name: self.listeners[name].attack(attack, SECONDS)
                         for name in names}
            came_to = {name: json.loads(attacker.communicate()[0])
                       for name, attacker in attackers.items()}
        growths = self.growth(meter.peaks, before)
        told = f"{attack}: {came_to}, MiB {growths}"
        if SECONDS >= LONG_SECONDS:
            print(told, file=sys.stderr, flush=True)
        for name, result in came_to.items():
            self.assertGreater(result["connections"], 0, told)
        for others in (near, far):
            self.assertLess(others.longest_refused_s(), REFUSED_SECONDS_MAX,
                            f"{told}, {others.errors[-1:]}")
        for growth in growths.values():
            self.assertLess(growth, growth_max // MIB, told)
        self.wait_until_given_back(told)

    def wait_until_given_back(self, told):
        until = time.monotonic() + BACK_SECONDS_MAX
        while max(self.growth(self.now()).values()) > LEFT_BYTES_MAX // MIB:
            self.assertLess(time.monotonic(), until,
                            f"{told}, kept: {self.growth(self.now())}")
            time.sleep(0.1)

    # gRPC bounds these by itself.

    def test_settings_flood(self):
        self.withstand("settings_flood", *ALL)

    def test_frame_of_16_mib(self):
        self.withstand("oversized_frame", *ALL)

    def test_connections_that_say_nothing(self):
        self.withstand("silent", *ALL)

    def test_readers_that_do_not_read(self):
        self.withstand("slow_reader", "coordinator", "edge")

    # The server's own bound.

    def test_unfinished_messages(self):
        for name in ("coordinator", "worker", "edge"):
            self.withstand("unfinished_messages", name,
                           growth_max=INBOUND_BYTES_MAX)

    # The proxy alone bounds these. Past it, in ten seconds, each takes hundreds
    # of megabytes, or holds up everybody else for more than five (frames
    # without bytes).

    def test_headers_without_end_and_without_bytes(self):
        self.withstand("empty_continuation_flood", "edge")

    def test_hpack_bomb(self):
        self.withstand("hpack_bomb", "edge")

    def test_empty_data(self):
        self.withstand("empty_data_flood", "edge")

    def test_headers_without_end(self):
        self.withstand("continuation_flood", "edge")

    def test_huge_metadata(self):
        self.withstand("huge_metadata", "edge")

    def test_thousands_of_fields(self):
        self.withstand("many_fields", "edge")

    def test_rapid_reset(self):
        self.withstand("rapid_reset", "edge")

    def test_induced_reset(self):
        self.withstand("induced_reset", "edge")

    def test_ping_flood(self):
        self.withstand("ping_flood", "edge")

    def test_priority_flood(self):
        self.withstand("priority_flood", "edge")

    def test_many_streams(self):
        self.withstand("many_streams", "edge")

    def test_slow_senders_are_cut(self):
        # Those that say nothing use up the connections of their address.
        slow = {"silent": "127.0.0.3", "slow_handshake": SOURCE,
                "slow_preface": SOURCE, "slow_continuation": SOURCE,
                "slow_body": SOURCE}
        attackers = {name: self.listeners["edge"].attack(
            name, CUT_SECONDS_MAX + 1, path=GENERATE, source=source)
            for name, source in slow.items()}
        with self.far() as others:
            came_to = {name: json.loads(attacker.communicate()[0])
                       for name, attacker in attackers.items()}
        for result in came_to.values():
            self.assertLess(result["longest_s"], CUT_SECONDS_MAX, came_to)
        self.assertLess(others.longest_refused_s(), REFUSED_SECONDS_MAX)


if __name__ == "__main__":
    processes.main()
