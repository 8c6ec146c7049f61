"""What one client does costs the others little: sessions that nobody comes back
to, readers that do not read, and work whose call is over."""

import concurrent.futures
import time
import unittest

import grpc

import processes
import slow_reader
import turns
from turns import pb2

SESSIONS_MAX = 20
ONE_SHOTS = 200
# Room for one turn of READER_TOKENS, and not for another turn beside it.
KV_TOKENS = 512
READER_TOKENS = 400
STALL_MS = 500
LARGE_TEXTS = 24
LARGE_BYTES = 4 << 20
# HTTP/2 and protobuf need some of the 4 MiB that a message may have.
MESSAGE_SPARE = 100


def turn(text, max_tokens, session_id=""):
    return pb2.TurnRequest(text=text, session_id=session_id, options={
        **turns.GREEDY, "max_tokens": max_tokens, "ignore_eos": True})


class OneAgainstOthersTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = processes.Cluster(drafts=0, flags={
            "target": ["--kv-tokens", str(KV_TOKENS), "--threads", "1"],
            "coordinator": ["--sessions-max", str(SESSIONS_MAX),
                            "--client-stall-ms", str(STALL_MS),
                            "--queue-timeout-ms",
                            str(turns.LIMIT_SECONDS * 1000)]})
        cls.addClassCleanup(cls.cluster.stop)
        cls.channel = grpc.insecure_channel(cls.cluster.coordinator)
        cls.addClassCleanup(cls.channel.close)
        cls.stub = turns.pb2_grpc.GenerationServiceStub(cls.channel)

    def metric(self, series):
        return self.cluster.metrics("coordinator")[0][series]

    def test_one_shots_leave_conversations_alone(self):
        kept = [turns.converse(self.stub, turn("Once upon a time", 2))
                .started.session_id for _ in range(5)]
        for _ in range(ONE_SHOTS):
            turns.generate(self.stub, turn("The", 1))
        self.assertLessEqual(self.metric("tandem_sessions"), SESSIONS_MAX)
        self.assertGreater(
            self.metric('tandem_memory_bytes{kind="sessions"}'), 0)
        for session_id in kept:
            answer = turns.converse(self.stub,
                                    turn(" there was", 2, session_id))
            self.assertEqual(answer.started.turn, 2)

    def test_a_client_that_does_not_read_gives_its_kv_back(self):
        asked = turn("In a far country,", READER_TOKENS)
        expected = turns.generate(self.stub, asked)
        self.assertEqual(len(expected.ids), READER_TOKENS)
        call = slow_reader.RawCall(self.cluster.coordinator,
                                 pb2.GenerateRequest(turn=asked), window=100)
        self.addCleanup(call.close)
        processes.wait_until(
            lambda: self.metric("tandem_num_requests_running") == 1,
            "its turn runs")
        # It would hold the KV for ever.
        for _ in range(3):
            other = turns.generate(self.stub, turn("The old king", 200))
            self.assertEqual(len(other.ids), 200)
        self.assertFalse(call.is_over)
        # It goes on by itself, with the same tokens.
        call.widen(1 << 20)
        answer = turns.Answer()
        for message in call.read(turns.LIMIT_SECONDS):
            answer.add(pb2.GenerateResponse.FromString(message))
        self.assertEqual(answer.ids, expected.ids)
        self.assertEqual(answer.text, expected.text)

    def test_work_for_nobody_is_not_done(self):
        text = "word " * ((LARGE_BYTES - MESSAGE_SPARE) // 5)
        large = {
            "text": turn(text, 1),
            "messages": pb2.TurnRequest(messages={"messages": [
                {"role": pb2.CHAT_ROLE_USER, "content": text}]})}
        for name, asked in large.items():
            with self.subTest(name), concurrent.futures.ThreadPoolExecutor(
                    LARGE_TEXTS) as pool:
                calls = [pool.submit(self.code_of, asked)
                         for _ in range(LARGE_TEXTS)]
                time.sleep(1)
                began = time.monotonic()
                turns.generate(self.stub, turn("Once upon a time " * 20, 1))
                # Behind the texts it would wait for a minute.
                self.assertLess(time.monotonic() - began, 20)
                allowed = {grpc.StatusCode.INVALID_ARGUMENT}
                if name == "messages":
                    # A template has limits of its own.
                    allowed.add(grpc.StatusCode.FAILED_PRECONDITION)
                self.assertLessEqual({call.result() for call in calls},
                                     allowed | {
                                         grpc.StatusCode.DEADLINE_EXCEEDED})

    def code_of(self, asked):
        try:
            for _ in self.stub.Generate(pb2.GenerateRequest(turn=asked),
                                        timeout=2):
                pass
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


if __name__ == "__main__":
    processes.main()
