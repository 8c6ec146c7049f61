"""Processes reach each other, and clients them, over links that are late, slow,
cut or dead: the text is that of an undisturbed run, and each token comes once.

TANDEM_FAULT_SEED repeats the faults of a run, as in faults_test.py.
TANDEM_LINK_FAULTS sets the number of those that are drawn.
"""

import concurrent.futures
import os
import random
import time
import unittest

from fault_proxy import FaultProxy
import faults_test
from faults_test import check_equal
from postgres import PostgresServer
import processes
from resuming_client import Follower, ResumingClient
from store_faults_test import start, wanted
from stored_cluster import CostCluster, StoredCluster
import turns

FAULTS = int(os.environ.get("TANDEM_LINK_FAULTS", "24"))
TOKENS = 120
# How long a target may say nothing until its turns are moved: 15 s by
# keepalive, and time for a busy machine.
SILENCE_SECONDS = 30
STALL_SECONDS = (0, 0.5)
PAUSE_SECONDS = (0.05, 0.3)
# A quarter of a second for what 120 tokens take of a link.
SLOW_BYTES_PER_SECOND = 20000


class LinkedCluster(StoredCluster):
    """Each process is reached by a link of its own, the workers by the
    coordinators and these by clients."""

    def __init__(self, **options):
        self.links = {}
        super().__init__(**options)

    def address(self, name, file="address"):
        address = super().address(name, file)
        if file != "address":
            return address
        if name not in self.links:
            self.links[name] = FaultProxy(address)
        return self.links[name].address

    def addresses(self):
        return list(map(self.address, self.coordinators))

    def stop(self):
        for link in self.links.values():
            link.close()
        return super().stop()


def sqlite_cluster(add_cleanup):
    cluster = LinkedCluster(targets=2, drafts=1)
    add_cleanup(cluster.stop)
    return cluster


def postgres_cluster(add_cleanup):
    database = PostgresServer()
    add_cleanup(database.remove)
    cluster = LinkedCluster(store=database.store_flags(), targets=2, drafts=1,
                            coordinators=2)
    add_cleanup(cluster.stop)
    return cluster


def request(kind, tokens):
    return turns.pb2.TurnRequest(text="Once upon a time", options={
        **kind, "max_tokens": tokens, "ignore_eos": True, "seed": 7})


class Turns:
    """A greedy and a warm turn, `copies` times, at once. Runs them while a
    with block goes on, and then compares them with an undisturbed run."""

    def __init__(self, cluster, tokens=TOKENS, copies=1):
        self._addresses = cluster.addresses()
        self._requests = [request(kind, tokens)
                          for kind in (turns.GREEDY, turns.WARM)] * copies
        client = ResumingClient(self._addresses)
        self._wanted = [client.turn(each).result()
                        for each in self._requests[:2]] * copies
        assert client.resumes == 0

    def __enter__(self):
        self._pool = concurrent.futures.ThreadPoolExecutor(len(self._requests))
        self._running = [
            self._pool.submit(ResumingClient(self._addresses).turn, each)
            for each in self._requests]
        return self

    def __exit__(self, *error):
        self._pool.shutdown()
        if error[0] is None:
            check_equal([each.result().result() for each in self._running],
                        self._wanted)


class LinkFaults:
    """Draws a link and what becomes of it."""

    def __init__(self, cluster, chance):
        self._cluster = cluster
        self._chance = chance
        self.count = 0

    def strike(self):
        time.sleep(self._chance.uniform(*PAUSE_SECONDS))
        link = self._cluster.links[self._chance.choice(
            sorted(self._cluster.links))]
        stall = self._chance.uniform(*STALL_SECONDS)
        quality = self._chance.choice((
            {}, {}, {"delay_ms": 2, "jitter_ms": 20},
            {"bytes_per_second": SLOW_BYTES_PER_SECOND}))
        fault = self._chance.choice(("cut", "up", "down", "part"))
        link.set_quality(**quality)
        if fault in ("up", "down"):
            link.half_open([fault])
        elif fault == "part":
            link.part()
        if fault != "cut":
            time.sleep(stall)
        if fault == "cut" or self._chance.random() < 0.5:
            link.cut()
        link.heal()
        self.count += 1


class DrawnFaultsTest(faults_test.FaultRun):

    def draw(self, cluster):
        self.check(cluster, LinkFaults(cluster, random.Random(self.seed)),
                   FAULTS // 2)

    def test_one_coordinator_over_sqlite(self):
        self.draw(sqlite_cluster(self.addCleanup))

    def test_two_coordinators_over_postgresql(self):
        self.draw(postgres_cluster(self.addCleanup))


class LinksTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = sqlite_cluster(cls.addClassCleanup)

    def setUp(self):
        self.addCleanup(self.repair)

    def repair(self):
        for link in self.cluster.links.values():
            link.set_quality()
            link.heal()

    def links(self, *names):
        return [self.cluster.links[name] for name in names]

    def test_late_and_slow_links(self):
        for quality in ({"delay_ms": 5, "jitter_ms": 10},
                        {"bytes_per_second": SLOW_BYTES_PER_SECOND}):
            with self.subTest(quality=quality), Turns(self.cluster):
                for link in self.cluster.links.values():
                    link.set_quality(**quality)
            self.repair()

    def running(self, name):
        return self.cluster.metrics(name)[0]["tandem_num_requests_running"]

    def test_a_target_that_falls_silent(self):
        """Its turns move to the other one; when the target learns of it too,
        it gives back what they held."""
        with Turns(self.cluster, tokens=400, copies=2):
            processes.wait_until(
                lambda: sum(map(self.running, self.cluster.targets)) >= 4,
                "4 turns run")
            name = max(self.cluster.targets, key=self.running)
            self.cluster.links[name].part()
            begin = time.monotonic()
        self.assertLess(time.monotonic() - begin, SILENCE_SECONDS)
        self.cluster.links[name].cut()
        self.cluster.wait_for_free_kv()

    def test_a_drafter_that_falls_silent(self):
        with Turns(self.cluster, tokens=200):
            time.sleep(0.2)
            self.cluster.links["draft"].part()
        self.cluster.links["draft"].cut()


class HalfOpenClientTest(unittest.TestCase):
    """The client's connection says nothing more, in each direction and in
    both; its resume takes the turn."""

    def check(self, cluster):
        wanted = {}
        for directions in (["up"], ["down"], ["up", "down"]):
            for kind in (turns.GREEDY, turns.WARM):
                turn = request(kind, TOKENS)
                with self.subTest(directions=directions,
                                  temperature=kind["temperature"]):
                    key = kind["temperature"]
                    if key not in wanted:
                        wanted[key] = ResumingClient(
                            cluster.addresses()).turn(turn).result()
                    history = self.resume(cluster, turn, directions)
                    self.assertEqual(history.result(), wanted[key])

    def resume(self, cluster, turn, directions):
        first, last = cluster.coordinators[0], cluster.coordinators[-1]
        link = cluster.links[first]
        # The turn waits for its reader: it does not end before the resume.
        link.set_quality(bytes_per_second=SLOW_BYTES_PER_SECOND)
        stream = Follower(turns.connect(self, link.address),
                          turns.pb2.ConverseRequest(start=turn))
        stream.wait_for(10)
        link.half_open(directions)
        link.set_quality()
        history = stream.history()
        follower = Follower(turns.connect(self, cluster.links[last].address),
                            history.resume_request(), history)
        history = follower.finish()
        self.assertIsNone(follower.error)
        link.cut()
        stream.finish()
        return history

    def test_one_coordinator_over_sqlite(self):
        self.check(sqlite_cluster(self.addCleanup))

    def test_two_coordinators_over_postgresql(self):
        self.check(postgres_cluster(self.addCleanup))


class ConnectionAgeTest(unittest.TestCase):

    def test_turns_outlive_their_connections(self):
        """Of a second, and one more for what runs; a turn takes 4."""
        request = start(400)
        cluster = CostCluster(pass_ms=10, flags={"coordinator": [
            "--connection-age-max-seconds", "1",
            "--connection-age-grace-seconds", "1"]})
        self.addCleanup(cluster.stop)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            text = pool.submit(cluster.tandem, "generate", request.start.text,
                               "--max-tokens", "400", "--ignore-eos")
            client = ResumingClient(cluster.addresses())
            history = client.turn(request.start)
            self.assertEqual(history.result(), wanted(request)[0])
            self.assertGreater(client.resumes, 0)
            self.assertEqual(text.result().returncode, 0, text.result().stderr)
        self.assertEqual(text.result().stdout.decode().rstrip("\n"),
                         history.text.rstrip("\n"))


if __name__ == "__main__":
    processes.main()
