"""Turns that are cancelled, and clients that go away, at random moments: in the
end no process holds more than before: KV, sessions, threads, descriptors and
memory.

TANDEM_DISCONNECTS sets their number, TANDEM_FAULT_SEED repeats what is drawn.
"""

import concurrent.futures
import os
import pathlib
import random
import threading
import time
import unittest

import grpc

import processes
from stored_cluster import StoredCluster
import turns

DISCONNECTS = int(os.environ.get("TANDEM_DISCONNECTS", "400"))
CLIENTS = 8
# A turn of that many tokens takes longer than the longest of these moments.
TOKENS = 400
MOMENT_SECONDS = (0, 0.1)
# Sessions that nobody uses go by themselves, and not for what comes later.
IDLE_FLAGS = ["--session-idle-seconds", "1", "--generate-idle-seconds", "1"]
# gRPC's event engine keeps some threads, each with a heap of its own, as long
# as it finds work for them.
THREADS_MORE = 4
# What the allocator keeps of a burst: up to 4 MiB after the 100 turns that a
# short run begins with, 0.6 MiB after the 2,500 of the long one. A leak of 2 KiB
# a turn is more in that.
BYTES_MORE = 12 << 20


def turn(chance):
    return turns.pb2.TurnRequest(text="Once upon a time", options={
        **chance.choice((turns.GREEDY, turns.WARM)), "max_tokens": TOKENS,
        "ignore_eos": True, "seed": chance.randrange(2**32)})


class Client:
    """Begins turns, and ends each at some moment in some way. One thread's."""

    def __init__(self, address, chance):
        self._address = address
        self._chance = chance
        self.errors = []
        self.ends = {}
        self._ways = {"cancel message": self._cancel_turn,
                      "cancelled call": self._cancel_call,
                      "deadline": self._let_pass,
                      "closed connection": self._disconnect}
        self._open()

    def _open(self):
        self._channel = grpc.insecure_channel(
            self._address, [("grpc.use_local_subchannel_pool", 1)])
        self._stub = turns.pb2_grpc.GenerationServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def disconnect(self):
        way = self._chance.choice(sorted(self._ways))
        moment = self._chance.uniform(*MOMENT_SECONDS)
        if way == "deadline":
            moment = max(moment, 0.001)
        timeout = moment if way == "deadline" else processes.LIMIT_SECONDS
        ends = threading.Event()
        if self._chance.random() < 0.3 and way != "cancel message":
            events = self._stub.Generate(
                turns.pb2.GenerateRequest(turn=turn(self._chance)),
                timeout=timeout)
        else:
            events = self._stub.Converse(
                self._requests(ends, is_cancelled=way == "cancel message"),
                timeout=timeout)
        timer = threading.Timer(moment, self._ways[way], (events, ends))
        timer.start()
        self._read(events, way)
        timer.join()
        ends.set()
        if way == "closed connection":
            self._open()

    def _requests(self, ends, is_cancelled):
        yield turns.pb2.ConverseRequest(start=turn(self._chance))
        ends.wait()
        if is_cancelled:
            yield turns.pb2.ConverseRequest(cancel=turns.pb2.CancelRequest())

    def _cancel_turn(self, _, ends):
        ends.set()

    def _cancel_call(self, events, _):
        events.cancel()

    def _let_pass(self, *_):
        pass

    def _disconnect(self, *_):
        self._channel.close()

    def _read(self, events, way):
        answer = turns.Answer()
        try:
            for event in events:
                answer.add(event)
            end = turns.pb2.FinishReason.Name(answer.ended.finish_reason)
        except grpc.RpcError as error:
            end = error.code().name
            if error.code() not in (grpc.StatusCode.CANCELLED,
                                    grpc.StatusCode.DEADLINE_EXCEEDED):
                self.errors.append(error)
        except ValueError as error:  # the channel was closed
            end = str(error)
        self.ends[way, end] = self.ends.get((way, end), 0) + 1


def disconnect(cluster, seed, count):
    """`count` times, by several clients at once; how often each way ended in
    which status or reason."""
    def run(number):
        client = Client(cluster.coordinator, random.Random(seed + number))
        try:
            for _ in range(number, count, CLIENTS):
                client.disconnect()
        finally:
            client.close()
        return client

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        clients = list(pool.map(run, range(CLIENTS)))
    ends = {}
    for client in clients:
        if client.errors:
            raise AssertionError(client.errors)
        for end, times in client.ends.items():
            ends[end] = ends.get(end, 0) + times
    return ends


class Figures:
    """What the processes of a cluster hold, once nobody asks them anything."""

    def __init__(self, cluster):
        self.held, self.taken = {}, {}
        for name in sorted(cluster.processes):
            self.held[name] = self._held(cluster, name)
            folder = pathlib.Path(f"/proc/{cluster.processes[name].pid}")
            self.taken[name] = (
                len(list((folder / "task").iterdir())),
                len(list((folder / "fd").iterdir())),
                processes.resident_bytes(cluster.processes[name]))

    def _held(self, cluster, name):
        series, _ = cluster.metrics(name)
        return {key: series[key] for key in (
            "tandem_sessions", "tandem_client_streams",
            "tandem_num_requests_running", "tandem_num_requests_waiting",
            "tandem_requests_pending", 'tandem_kv_pages{state="reserved"}',
            'tandem_memory_bytes{kind="sessions"}',
            'tandem_memory_bytes{kind="queued texts"}') if key in series}

    def are_idle(self):
        return not any(value for held in self.held.values()
                       for value in held.values())

    def more_than(self, before):
        """By process: threads, descriptors and bytes that it takes beyond what
        it may, if any."""
        may = (THREADS_MORE, 0, BYTES_MORE)
        found = {}
        for name, taken in self.taken.items():
            more = [now - then for now, then in zip(taken,
                                                    before.taken[name])]
            if any(value > bound for value, bound in zip(more, may)):
                found[name] = more
        return found


class DisconnectsTest(unittest.TestCase):

    def settle(self, cluster):
        def is_idle():
            self.figures = Figures(cluster)
            return self.figures.are_idle()

        processes.wait_until(is_idle, "all that turns held is given back")
        return self.figures

    def check(self, cluster):
        seed = int(os.environ.get("TANDEM_FAULT_SEED",
                                  random.randrange(10**9)))
        # Pools, caches and connections that stay are made by the first ones.
        disconnect(cluster, seed, DISCONNECTS // 4)
        before = self.settle(cluster)
        begin = time.monotonic()
        ends = disconnect(cluster, seed + 1000, DISCONNECTS)
        took = time.monotonic() - begin

        def is_back():
            self.more = self.settle(cluster).more_than(before)
            return not self.more

        try:
            processes.wait_until(is_back, "processes take what they took")
        except AssertionError:
            self.fail(f"TANDEM_FAULT_SEED={seed}: {self.more}")
        finally:
            print(f"seed {seed}: {sum(ends.values())} in {took:.0f} s: "
                  f"{ends}\nthreads, descriptors, bytes: {before.taken}, "
                  f"then {self.figures.taken}", flush=True)
        # All ways, in turns and before them.
        self.assertGreaterEqual(len({way for way, _ in ends}), 4)

    def test_sessions_in_memory(self):
        cluster = processes.Cluster(targets=2,
                                    flags={"coordinator": IDLE_FLAGS})
        self.addCleanup(cluster.stop)
        self.check(cluster)

    def test_sessions_in_a_store(self):
        cluster = StoredCluster(targets=2, flags={"coordinator": IDLE_FLAGS})
        self.addCleanup(cluster.stop)
        self.check(cluster)


if __name__ == "__main__":
    processes.main()
