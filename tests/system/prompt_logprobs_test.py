"""Log-probabilities of a turn's own prompt are those of Score and of the decode
that generated it, bit for bit, from any point at which a client comes back and
where a worker dies meanwhile.

TANDEM_TEST_SEED takes other prompts.
"""

import json
import os
import random
import signal
import struct
import unittest

import processes
import turns
from processes import Cluster
from turns import pb2

SEED = os.environ.get("TANDEM_TEST_SEED", "1")


def bits(number):
    return struct.pack("<f", number)


def logprobs_of(tokens):
    return [bits(token[1]) for token in tokens]


def request(ids, alternatives=2, **fields):
    return pb2.TurnRequest(
        tokens={"ids": ids}, prompt_logprobs=alternatives,
        options={**turns.GREEDY, "seed": 7, "max_tokens": 20, "logprobs": 2},
        **fields)


def draw_ids(name, count):
    draw = random.Random(f"{SEED} {name}")
    return [1, *(draw.randint(300, 2000) for _ in range(count - 1))]


class PromptTest(processes.ClusterTest):
    """Prompts on the demo pair."""

    def setUp(self):
        self.stub = turns.connect(self, self.cluster.coordinator)

    def score(self, ids, first):
        asked = pb2.ScoreRequest(tokens={"ids": ids[:first]})
        asked.continuations.add().tokens.ids.extend(ids[first:])
        return [bits(number) for number in self.stub.Score(
            asked, timeout=turns.LIMIT_SECONDS).scores[0].logprobs]

    def test_they_are_the_scores(self):
        for count in (1, 2, 33, 400):
            ids = draw_ids(f"scores {count}", count)
            answer = turns.generate(self.stub, request(ids))
            self.assertEqual([token[0] for token in answer.prompt], ids)
            # Nothing stands before the first.
            self.assertEqual(answer.prompt[0], (1, 0))
            if count > 1:
                self.assertEqual(logprobs_of(answer.prompt[1:]),
                                 self.score(ids, 1))
            for _, logprob, *alternatives in answer.prompt[1:]:
                self.assertEqual(len(alternatives), 2)
                self.assertGreaterEqual(alternatives[0][1],
                                        alternatives[1][1])
                self.assertGreaterEqual(alternatives[0][1], logprob)
            # The text is that without them.
            plain = request(ids)
            plain.ClearField("prompt_logprobs")
            self.assertEqual(turns.generate(self.stub, plain).ids, answer.ids)

    def test_they_are_what_the_decode_reports(self):
        ids = draw_ids("decode", 40)
        first = turns.generate(self.stub, request(ids))
        again = turns.generate(self.stub, request(ids + first.ids))
        # Those of the tokens, and of the alternatives.
        self.assertEqual([token[1:] for token in again.prompt[len(ids):]],
                         first.logprobs)
        # In a session the next turn has its own tokens alone.
        more = draw_ids("more", 30)[1:]
        history = ids + first.ids
        second = turns.generate(self.stub, request(
            more, session_id=first.started.session_id))
        self.assertEqual([token[0] for token in second.prompt], more)
        self.assertEqual(logprobs_of(second.prompt),
                         self.score(history + more, len(history)))

    def test_a_client_comes_back_in_the_middle(self):
        ids = draw_ids("middle", 600)
        wanted = turns.generate(self.stub, request(ids))
        stream = turns.Stream(self.stub)
        answer = turns.Answer()
        stream.send(start=request(ids))
        for event in stream.events():
            answer.add(event)
            if len(answer.prompt) >= 100:
                break
        stream.drop()
        self.assertLess(len(answer.prompt), len(ids))
        stream = turns.Stream(self.stub)
        stream.send(resume={"session_id": answer.started.session_id,
                            "turn": answer.started.turn,
                            "prompt_tokens_received": len(answer.prompt)})
        stream.read(answer)
        stream.close()
        self.assertEqual(answer.prompt, wanted.prompt)
        self.assertEqual(answer.ids, wanted.ids)
        # And after the end, from any point.
        for received in (0, 1, 300, len(ids) - 1, len(ids)):
            stream = turns.Stream(self.stub)
            late = turns.Answer()
            late.prompt = wanted.prompt[:received]
            stream.send(resume={"session_id": answer.started.session_id,
                                "turn": answer.started.turn,
                                "prompt_tokens_received": received})
            stream.read(late)
            stream.close()
            self.assertEqual(late.prompt, wanted.prompt)
            self.assertEqual(late.ids, wanted.ids)

    def test_the_command(self):
        shown = self.cluster.tandem(
            "generate", "The king", "--json", "--prompt-logprobs", "1",
            "--max-tokens", "2", "--temperature", "0")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        told = json.loads(shown.stdout)["prompt_logprobs"]
        ids = list(self.stub.Tokenize(
            pb2.TokenizeRequest(text="The king")).token_ids)
        self.assertEqual([one["token_id"] for one in told], ids)
        self.assertEqual(told[0]["alternatives"], [])
        self.assertEqual([bits(one["logprob"]) for one in told[1:]],
                         self.score(ids, 1))


class KilledWorkerTest(unittest.TestCase):
    """A turn whose workers are killed while its prompt is scored."""

    def setUp(self):
        self.cluster = Cluster(targets=2, drafts=0)
        self.addCleanup(self.cluster.stop)
        self.stub = turns.connect(self, self.cluster.coordinator)

    def busy(self):
        return [name for name in self.cluster.targets if self.cluster.metrics(
            name)[0]["tandem_num_requests_running"] > 0]

    def begin(self, ids):
        """A stream that has the first scores of a turn, and what it has."""
        stream = turns.Stream(self.stub)
        answer = turns.Answer()
        stream.send(start=request(ids))
        for event in stream.events():
            answer.add(event)
            if len(answer.prompt) > 1:
                break
        return stream, answer

    def test_the_scores_are_the_same(self):
        # A prompt may be done before anybody looks.
        for attempt in range(20):
            ids = draw_ids(f"killed {attempt}", 900)
            stream, answer = self.begin(ids)
            busy = self.busy()
            if busy:
                break
            stream.read(answer)
            stream.close()
        self.assertTrue(busy, "no prompt takes long enough for this test")
        self.assertLess(len(answer.prompt), len(ids))
        self.cluster.processes[busy[0]].send_signal(signal.SIGKILL)
        stream.read(answer)
        stream.close()
        wanted = turns.generate(self.stub, request(ids))
        self.assertEqual(answer.prompt, wanted.prompt)
        self.assertEqual(answer.ids, wanted.ids)


if __name__ == "__main__":
    processes.main()
