"""What turns do while their client is gone: they go on up to a time, or wait;
and the resume that follows has all tokens, each once."""

import subprocess
import sys
import time
import unittest

import grpc

import processes
from resuming_client import Follower, History, ResumingClient
from stored_cluster import CostCluster
import turns

PASS_MS = 10
TOKENS = 200
RUNNING = "tandem_num_requests_running"
ENDED = 'tandem_request_success_total{finished_reason="length"}'


def start(**more):
    return turns.pb2.ConverseRequest(start=turns.pb2.TurnRequest(
        text="Once upon a time",
        options={"max_tokens": TOKENS, "ignore_eos": True, "seed": 5}, **more))


def run_client(address, request):
    """A program: says what it has of a turn, until it is killed."""
    first = turns.pb2.ConverseRequest.FromString(bytes.fromhex(request))
    with grpc.insecure_channel(address) as channel:
        stub = turns.pb2_grpc.GenerationServiceStub(channel)
        for event in stub.Converse(iter([first])):
            print(event.SerializeToString().hex(), flush=True)


class OnDisconnectTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = CostCluster(pass_ms=PASS_MS)
        cls.addClassCleanup(cls.cluster.stop)
        cls.wanted = ResumingClient(cls.cluster.addresses()).turn(
            start().start).result()

    def figure(self, name):
        return self.cluster.metrics("coordinator")[0].get(name, 0)

    def kill_client(self, request, tokens):
        """What a client has that is killed when it has `tokens`."""
        history = History()
        with subprocess.Popen(
                [sys.executable, "-B", __file__, "client",
                 self.cluster.addresses()[0],
                 request.SerializeToString().hex()],
                stdout=subprocess.PIPE, text=True) as client:
            for line in client.stdout:
                history.add(turns.pb2.ConverseResponse.FromString(
                    bytes.fromhex(line)))
                if len(history.ids) >= tokens:
                    break
            client.kill()
        self.assertIsNone(history.ended)
        return history

    def resume(self, history):
        # Of its own, since the coordinator of another one may be gone.
        with grpc.insecure_channel(
                self.cluster.addresses()[0],
                [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stream = Follower(turns.pb2_grpc.GenerationServiceStub(channel),
                              history.resume_request(), history.copy())
            resumed = stream.finish()
            self.assertIsNone(stream.error)
            return resumed

    def test_a_turn_goes_on_to_its_end(self):
        ended = self.figure(ENDED)
        history = self.kill_client(
            start(on_disconnect=turns.pb2.ON_DISCONNECT_GO_ON), 40)
        processes.wait_until(lambda: self.figure(ENDED) == ended + 1,
                             "the turn has ended")
        self.assertEqual(self.figure(RUNNING), 0)
        self.assertEqual(self.resume(history).result(), self.wanted)
        # It is in the store too.
        self.cluster.kill_coordinator()
        self.cluster.start_coordinator()
        self.cluster.wait_for_workers(1, 0)
        self.assertEqual(self.resume(history).result(), self.wanted)

    def test_a_turn_waits_when_its_time_is_over(self):
        begin = time.monotonic()
        history = self.kill_client(
            start(on_disconnect=turns.pb2.ON_DISCONNECT_GO_ON, go_on_ms=1000),
            20)
        processes.wait_until(lambda: self.figure(RUNNING) == 0,
                             "the turn waits")
        self.assertGreater(time.monotonic() - begin, 1)
        self.cluster.wait_for_free_kv()
        generated = self.figure("tandem_generation_tokens_total")
        time.sleep(0.5)
        self.assertEqual(self.figure("tandem_generation_tokens_total"),
                         generated)
        self.assertEqual(self.resume(history).result(), self.wanted)

    def test_a_turn_waits_at_once_unless_it_is_told_to_go_on(self):
        ended = self.figure(ENDED)
        history = self.kill_client(start(), 20)
        processes.wait_until(lambda: self.figure(RUNNING) == 0,
                             "the turn waits")
        self.assertEqual(self.figure(ENDED), ended)
        self.assertEqual(self.resume(history).result(), self.wanted)


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        run_client(*sys.argv[2:])
    else:
        processes.main()
