"""Processes are killed by kill -9 at random moments while clients have turns:
no token is lost, none comes twice, none changes, and each turn ends once.

TANDEM_FAULT_SEED repeats the turns and the order of the faults of a run, which
prints its seed when it fails. TANDEM_FAULT_KILLS sets the number of kills.
"""

import os
import random
import signal
import threading
import time
import unittest

import processes
from postgres import PostgresServer
from resuming_client import ResumingClient
from stored_cluster import StoredCluster
import turns

KILLS = int(os.environ.get("TANDEM_FAULT_KILLS", "200"))
TURNS_A_KILL = 10  # at least
CLIENTS = 4
# Between two faults, and until what was killed is started again.
PAUSE_SECONDS = (0.05, 0.5)
GONE_SECONDS = (0, 0.3)

PROMPTS = ("Once upon a time", "The little dog", "One day a girl named Lily",
           "Tom and his mom went to the park")
LENGTHS = (1, 30, 120)
NEXT_TEXT = " and then"

# Of a service that can not take a turn now.
NOT_NOW = (b"nobody listens there", b"cannot reach the coordinator",
           b"no target worker", b"the store of sessions is away")


def request(chance, **more):
    """A turn, as some client may want it."""
    options = dict(chance.choice((turns.GREEDY, turns.WARM)),
                   max_tokens=chance.choice(LENGTHS), ignore_eos=True,
                   seed=chance.randrange(2**32))
    for more_options in ({"draft_length": 0}, {"logprobs": 2},
                         {"stop_strings": ["said the"]}):
        if chance.random() < 0.2:
            options.update(more_options)
    return turns.pb2.TurnRequest(options=options, **more)


def conversations(seed, count):
    """Requests of first and of second turns."""
    chance = random.Random(seed)
    return [(request(chance, text=chance.choice(PROMPTS)),
             request(chance, text=NEXT_TEXT)) for _ in range(count)]


def converse(client, requests):
    """The results of a conversation's turns."""
    first = client.turn(requests[0])
    second = turns.pb2.TurnRequest()
    second.CopyFrom(requests[1])
    second.session_id = first.started.session_id
    return [first.result(), client.turn(second, number=2).result()]


def generate(address):
    """What `tandem generate` prints. A turn that can not begin now leaves no
    trace, and is started again."""
    found = []

    def begins():
        found[:] = [processes.tandem(
            "generate", PROMPTS[0], "--max-tokens", "120", "--ignore-eos",
            "--seed", "11", "--coordinator", address)]
        return found[0].stdout or not any(
            text in found[0].stderr for text in NOT_NOW)

    processes.wait_until(begins, "tandem generate begins")
    if found[0].returncode != 0:
        raise AssertionError(found[0].stderr.decode())
    return found[0].stdout


def difference(value, wanted):
    """Of lists, where they begin to differ."""
    if not isinstance(value, list):
        return f"{value} instead of {wanted}"
    at = next((i for i, pair in enumerate(zip(value, wanted))
               if pair[0] != pair[1]), min(len(value), len(wanted)))
    return (f"from {at}: {value[at:at + 3]} instead of {wanted[at:at + 3]}, "
            f"{len(value)} instead of {len(wanted)}")


def check_equal(results, wanted):
    for result, other in zip(results, wanted):
        wrong = {key: difference(value, other[key])
                 for key, value in result.items() if value != other[key]}
        if wrong:
            raise AssertionError(f"turn {other['turn']}: {wrong}")


class Faults:
    """Kills and starts again what it draws, one after the other."""

    def __init__(self, cluster, chance, database=None):
        self._cluster = cluster
        self._chance = chance
        self._database = database
        self.count = 0
        self._names = [*cluster.targets, *cluster.drafts,
                       *cluster.coordinators]
        self._kinds = self._names + ["postmaster", "backend"] * (
            database is not None)

    def strike(self):
        time.sleep(self._chance.uniform(*PAUSE_SECONDS))
        kind = self._chance.choice(self._kinds)
        gone = self._chance.uniform(*GONE_SECONDS)
        if kind == "backend":
            backends = self._database.backends()
            if not backends:
                return
            try:
                os.kill(self._chance.choice(backends), signal.SIGKILL)
            except ProcessLookupError:
                return
        elif kind == "postmaster":
            self._database.stop(signal.SIGKILL)
            time.sleep(gone)
            self._database.start()
        else:
            self._cluster.kill(kind)
            time.sleep(gone)
            self._start(kind)
        self.count += 1

    def _start(self, name):
        if name not in self._cluster.coordinators:
            return self._cluster.start_worker(name)
        # A database that recovers refuses it meanwhile: what starts it tries
        # again, as systemd does.
        def listens():
            self._cluster.begin_coordinator(name)
            try:
                self._cluster.address(name)
                return True
            except AssertionError:
                return False

        return processes.wait_until(listens, f"{name} starts")


class Clients:
    """Threads with a conversation after the other, and one with `tandem
    generate` after the other, until they are stopped."""

    def __init__(self, cluster, seed, wanted, text):
        self._addresses = cluster.addresses()
        self._wanted = wanted  # (requests, results) of conversations
        self._text = text
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.errors = []
        self.turns = self.resumes = self.resumed_elsewhere = self.commands = 0
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._command,)),
            *(threading.Thread(target=self._converse,
                               args=(random.Random(seed + i),))
              for i in range(CLIENTS))]
        for thread in self._threads:
            thread.start()

    def _repeat(self, function, *arguments):
        try:
            while not self._stopped.is_set():
                function(*arguments)
        except Exception as error:  # the test ends with it
            with self._lock:
                self.errors.append(error)

    def _command(self):
        text = generate(self._addresses[0])
        if text != self._text:
            raise AssertionError(f"{text} instead of {self._text}")
        self.commands += 1

    def _converse(self, chance):
        self._repeat(self._conversation, chance)

    def _conversation(self, chance):
        client = ResumingClient(self._addresses, chance)
        requests, wanted = chance.choice(self._wanted)
        results = converse(client, requests)
        check_equal(results, wanted)
        with self._lock:
            self.turns += len(results)
            self.resumes += client.resumes
            self.resumed_elsewhere += client.resumed_elsewhere

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join()


class FaultRun(unittest.TestCase):
    """Clients have turns while faults strike."""

    def setUp(self):
        self.seed = int(os.environ.get("TANDEM_FAULT_SEED",
                                       random.randrange(10**9)))

    def wanted(self, cluster):
        """Conversations, and their results in a run without faults."""
        client = ResumingClient(cluster.addresses()[:1])
        found = [(requests, converse(client, requests))
                 for requests in conversations(self.seed, 12)]
        self.assertEqual(client.resumes, 0)
        return found

    def check(self, cluster, faults, count, turns_min=0):
        """`faults.strike()` until there were `count`, and so many turns, and one
        of them was resumed."""
        wanted = self.wanted(cluster)
        text = generate(cluster.addresses()[0])
        begin = time.monotonic()
        print(f"TANDEM_FAULT_SEED={self.seed}", flush=True)
        clients = Clients(cluster, self.seed, wanted, text)
        try:
            while not clients.errors and (
                    faults.count < count or clients.turns < turns_min or
                    clients.resumes == 0 and faults.count < 4 * count):
                faults.strike()
        finally:
            clients.stop()
        print(f"seed {self.seed}: {faults.count} faults, {clients.turns} "
              f"turns, {clients.commands} commands, {clients.resumes} streams "
              f"more, {clients.resumed_elsewhere} resumed elsewhere, "
              f"{time.monotonic() - begin:.0f} s", flush=True)
        if clients.errors:
            logs = "".join(f"--- {name}\n{cluster.log(name)[-2000:]}"
                           for name in cluster.coordinators)
            self.fail(f"{logs}\nTANDEM_FAULT_SEED={self.seed}: "
                      f"{clients.errors}")
        self.assertGreater(clients.resumes, 0)


class FaultsTest(FaultRun):

    def kill(self, cluster, database=None):
        self.check(cluster, Faults(cluster, random.Random(self.seed), database),
                   KILLS // 2, turns_min=KILLS // 2 * TURNS_A_KILL)

    def test_one_coordinator_over_sqlite(self):
        cluster = StoredCluster(targets=2, drafts=1)
        self.addCleanup(cluster.stop)
        self.kill(cluster)

    def test_two_coordinators_over_postgresql(self):
        database = PostgresServer()
        self.addCleanup(database.remove)
        cluster = StoredCluster(store=database.store_flags(), targets=2,
                                drafts=1, coordinators=2)
        self.addCleanup(cluster.stop)
        self.kill(cluster, database)


if __name__ == "__main__":
    processes.main()
