"""50,000 calls of one turn each from one tenant, while another tenant holds
sessions: none is refused, and no session is lost. Real processes, whose passes
take no time, and two tenants by their keys."""

import asyncio
import multiprocessing
import time
import unittest

import grpc

import processes
import turns
from keys_test import KeyedCluster, Keys
from turns import pb2

ONE_SHOTS = 50000
CLIENTS, AT_ONCE = 2, 16
KEPT_SESSIONS = 100
# Between two turns of the other tenant meanwhile.
PAUSE_SECONDS = 0.05


def turn(session_id=""):
    return pb2.TurnRequest(
        tokens={"ids": range(10, 26)}, session_id=session_id,
        options={**turns.GREEDY, "ignore_eos": True, "max_tokens": 1})


async def send_one_shots(address, metadata, count):
    left = iter(range(count))

    async def repeat(stub):
        for _ in left:
            async for _ in stub.Generate(pb2.GenerateRequest(turn=turn()),
                                         metadata=metadata):
                pass

    async with grpc.aio.insecure_channel(address) as channel:
        stub = turns.pb2_grpc.GenerationServiceStub(channel)
        await asyncio.gather(*(repeat(stub) for _ in range(AT_ONCE)))


def run_client(*arguments):
    """A process; a call that is refused ends it with an error."""
    asyncio.run(send_one_shots(*arguments))


class CostCluster(KeyedCluster):

    def worker(self, role, model):
        return ["tandem-cost-worker", "--role", role, "--vocabulary", model,
                "--model-id", "cost"]


class OneShotsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        keys = Keys()
        cls.addClassCleanup(keys.cleanup)
        cls.metadata = {
            tenant: [("authorization",
                      "Bearer " + keys.new(tenant, tenant).read_text().strip())]
            for tenant in ("one", "other")}
        cls.cluster = CostCluster(keys, "other", drafts=0, flags={
            "coordinator": ["--keys", keys.path]})
        cls.addClassCleanup(cls.cluster.stop)
        cls.stub = turns.connect(cls, cls.cluster.coordinator)

    def converse(self, session_id=""):
        return turns.converse(self.stub, turn(session_id),
                              metadata=self.metadata["other"]).started

    def start_clients(self):
        context = multiprocessing.get_context("spawn")
        clients = [context.Process(target=run_client, args=(
            self.cluster.coordinator, self.metadata["one"],
            ONE_SHOTS // CLIENTS)) for _ in range(CLIENTS)]
        for client in clients:
            self.addCleanup(client.kill)
            client.start()
        return clients

    def test_none_is_refused_and_no_session_is_lost(self):
        taken = {self.converse().session_id: 1 for _ in range(KEPT_SESSIONS)}
        began = time.monotonic()
        clients = self.start_clients()
        while any(client.is_alive() for client in clients):
            # The one that is idle for longest.
            session_id = next(iter(taken))
            taken[session_id] = taken.pop(session_id) + 1
            self.assertEqual(self.converse(session_id).turn, taken[session_id])
            time.sleep(PAUSE_SECONDS)
        seconds = time.monotonic() - began
        self.assertEqual([client.exitcode for client in clients],
                         [0] * CLIENTS)
        for session_id, turn_number in taken.items():
            self.assertEqual(self.converse(session_id).turn, turn_number + 1)
        resident = processes.resident_bytes(
            self.cluster.processes["coordinator"])
        print(f"{ONE_SHOTS / seconds:.0f} calls a second, {sum(taken.values())}"
              f" turns of the other tenant, {resident >> 20} MiB resident")


if __name__ == "__main__":
    processes.main()
