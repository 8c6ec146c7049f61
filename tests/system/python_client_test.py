"""A client in another language, made from proto/ alone, streams a turn."""

import os
import subprocess
import sys
import tempfile
import unittest

import processes

CLIENT = processes.SOURCE_DIR / "tools/example_client.py"


class PythonClientTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stubs = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.stubs.cleanup)
        processes.make_stubs(cls.stubs.name)

    def test_the_client_is_ten_lines(self):
        self.assertLessEqual(len(CLIENT.read_text().splitlines()), 10)

    def test_it_streams_a_turn(self):
        result = subprocess.run(
            [sys.executable, CLIENT, "Once upon a time"],
            env={**os.environ, **self.cluster.environment,
                 "PYTHONPATH": self.stubs.name}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=processes.LIMIT_SECONDS,
            check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertGreater(len(result.stdout.decode().split()), 10)

    def test_many_events_with_their_order(self):
        sys.path.insert(0, self.stubs.name)
        import grpc
        from tandem.v1 import generation_pb2, generation_pb2_grpc
        request = generation_pb2.GenerateRequest()
        request.turn.text = "Once upon a time"
        request.turn.options.max_tokens = 24
        request.turn.options.temperature = 0
        with grpc.insecure_channel(self.cluster.coordinator) as channel:
            stub = generation_pb2_grpc.GenerationServiceStub(channel)
            events = list(stub.Generate(request))
        self.assertEqual(events[0].WhichOneof("event"), "started")
        self.assertEqual(events[-1].WhichOneof("event"), "ended")
        self.assertGreater(len(events), 3)
        ids = []
        for event in events[1:-1]:
            self.assertEqual(event.tokens.first_token, len(ids))
            ids += event.tokens.token_ids
        self.assertEqual(len(ids), 24)
        self.assertEqual(events[-1].ended.usage.generated_tokens, 24)


if __name__ == "__main__":
    processes.main()
