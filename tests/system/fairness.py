"""One tenant's flood costs another tenant's first tokens little: real processes
whose passes take the time that flags say, and two tenants by their
certificates."""

import asyncio
import faulthandler
import multiprocessing
import pathlib
import random
import subprocess
import tempfile
import time
import unittest

import grpc

import processes
import turns
from turns import pb2

# Passes of 10 ms and 1 ms a row, and KV for as many turns at once.
STEP_US = "10000,1000"
TURNS_AT_ONCE = 8
PROMPT_TOKENS = 16
# Drawn, so that turns do not all end at one moment.
ANSWER_TOKENS = (16, 48)
# A turn reserves whole pages of 64 tokens.
KV_TOKENS = TURNS_AT_ONCE * 64
# The first tenant as it just fills the worker, and at 100 times as much.
FILLS, FLOODS = TURNS_AT_ONCE, 100 * TURNS_AT_ONCE
# Turns that show that a load is there: as many as the coordinator runs of one
# tenant at least.
FULL = 700
# First tokens of the second tenant that are measured, one after the other.
SAMPLES = 60
# The median beside the flood over that beside the filled worker: 1.0 to 1.4 on
# a busy machine, where it was 2.1 while a tenant that holds all KV had its turn
# in the worker's queue all the same. The p99 varies more: 0.8 to 1.2.
RATIO_MAX = 1.7


def turn(max_tokens):
    return pb2.TurnRequest(tokens={"ids": range(10, 10 + PROMPT_TOKENS)},
                           options={**turns.GREEDY, "ignore_eos": True,
                                    "max_tokens": max_tokens,
                                    "draft_length": 0})


def credentials(certs, owner):
    ca, key, cert = ((certs / owner / name).read_bytes()
                     for name in ("ca.crt", "tls.key", "tls.crt"))
    return grpc.ssl_channel_credentials(ca, key, cert)


async def repeat_turns(stub, draw):
    while True:
        request = pb2.GenerateRequest(turn=turn(draw.randint(*ANSWER_TOKENS)))
        try:
            async for _ in stub.Generate(request):
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(1)


async def load(address, certs, many):
    channel = grpc.aio.secure_channel(address, credentials(certs, "client"))
    stub = turns.pb2_grpc.GenerationServiceStub(channel)
    await asyncio.gather(*(repeat_turns(stub, random.Random(number))
                           for number in range(many)))


def run_load(*arguments):
    """The first tenant's process: `many` turns at once until it is killed."""
    asyncio.run(load(*arguments))


def first_token_seconds(stub):
    """Of one turn of one token, which is read to its end: a call that is left
    midway would take KV beside the next one, until its end is known."""
    began = time.monotonic()
    seconds = None
    request = pb2.GenerateRequest(turn=turn(1))
    for event in stub.Generate(request, timeout=turns.LIMIT_SECONDS):
        if event.WhichOneof("event") == "tokens":
            seconds = time.monotonic() - began
    if seconds is None:
        raise AssertionError("a turn without a token")
    return seconds


class FairnessTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certs = pathlib.Path(folder.name) / "certs"
        subprocess.run(
            [processes.SOURCE_DIR / "deploy/k8s/make-certs", cls.certs],
            check=True, stdout=subprocess.DEVNULL)
        cls.cluster = CostCluster(cls.certs)
        cls.addClassCleanup(cls.cluster.stop)
        ready = cls.cluster.tandem(
            "health", cls.cluster.coordinator, "--wait-ms=60000",
            f"--tls-ca={cls.certs}/client/ca.crt",
            f"--tls-cert={cls.certs}/client/tls.crt",
            f"--tls-key={cls.certs}/client/tls.key")
        if ready.stdout != b"SERVING\n":
            raise AssertionError(ready.stderr)

    def median(self, many):
        """Of the second tenant's first tokens beside `many` turns at once of
        the first."""
        first = multiprocessing.get_context("spawn").Process(
            target=run_load,
            args=(self.cluster.coordinator, self.certs, many))
        first.start()
        try:
            with grpc.secure_channel(
                    self.cluster.coordinator,
                    credentials(self.certs, "worker")) as channel:
                stub = turns.pb2_grpc.GenerationServiceStub(channel)
                processes.wait_until(
                    lambda: self.cluster.metrics("coordinator")[0]
                    ["tandem_num_requests_running"] >= min(many, FULL),
                    "the first tenant's turns run")
                samples = sorted(first_token_seconds(stub)
                                 for _ in range(SAMPLES))
        finally:
            first.kill()
            first.join()
        print(f"beside {many} turns: median {samples[SAMPLES // 2]:.3f} s, "
              f"p99 {samples[SAMPLES * 99 // 100]:.3f} s")
        return samples[SAMPLES // 2]

    def test_a_flood_costs_another_tenant_little(self):
        filled, flooded = self.median(FILLS), self.median(FLOODS)
        self.assertLess(flooded, RATIO_MAX * filled)


class CostCluster(processes.Cluster):

    def __init__(self, certs):
        self._files = certs / "coordinator"
        super().__init__(drafts=0, tls=self._tls_flags, flags={
            "target": ["--step-us", STEP_US, "--kv-tokens", str(KV_TOKENS)]})

    def _tls_flags(self, name):
        if name != "coordinator":
            return []
        return [f"--tls-cert={self._files}/tls.crt",
                f"--tls-key={self._files}/tls.key",
                f"--tls-client-ca={self._files}/ca.crt"]

    def worker(self, role, model):
        return ["tandem-cost-worker", "--role", role, "--vocabulary", model,
                "--model-id", "cost"]


if __name__ == "__main__":
    # It takes 20 s: a run that hangs shows where.
    faulthandler.dump_traceback_later(600)
    processes.main()
