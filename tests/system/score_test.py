"""Scores are the log-probabilities that a decode reports, bit for bit, and the
same bytes whatever else runs, on any number of threads and by any instruction
set, also where a worker dies meanwhile.

TANDEM_TEST_SEED takes other items.
"""

import concurrent.futures
import json
import math
import os
import random
import signal
import struct
import threading
import unittest

import processes
import turns
from processes import Cluster
from turns import pb2

SEED = os.environ.get("TANDEM_TEST_SEED", "1")
ITEMS = 200
# Without vectors an item takes 0.26 s.
SCALAR_ITEMS = 30
SUBJECTS = ("The king", "The youngest daughter", "A wolf", "The old witch",
            "The miller's son", "A cat", "The moon", "The giant")
DEEDS = ("went into the deep forest", "sat down by the fire",
         "said a word that nobody knew", "lost the golden comb",
         "came to a house of bread", "slept for a hundred years",
         "climbed the glass mountain", "asked three questions")
ENDS = (" and was never seen again.", " until the sun rose.",
        ", and all the people laughed.", " because the door was open.",
        " 1234 times", ", caf\u00e9 \u2603.", " and", " once more.")


def make_items():
    """Score requests of a multiple choice, with four texts each."""
    draw = random.Random(f"{SEED} items")

    def sentence():
        return f"{draw.choice(SUBJECTS)} {draw.choice(DEEDS)}"

    items = []
    for _ in range(ITEMS):
        before = ". ".join(sentence() for _ in range(draw.randint(1, 8)))
        items.append(pb2.ScoreRequest(
            text=f"{before}. {sentence()}",
            continuations=[{"text": text} for text in draw.sample(ENDS, 4)]))
    return items


def score(stub, request):
    return stub.Score(request, timeout=turns.LIMIT_SECONDS)


def score_all(stub, items, in_flight):
    """The answers' bytes, in the order of the items."""
    with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
        return [answer.SerializeToString(deterministic=True)
                for answer in pool.map(lambda item: score(stub, item), items)]


def bits(numbers):
    return [struct.pack("<f", number) for number in numbers]


class SimdCluster(Cluster):
    """A target whose kernels are of one instruction set."""

    def __init__(self, level, threads):
        before = os.environ.get("TANDEM_SIMD")
        os.environ["TANDEM_SIMD"] = level
        try:
            super().__init__(drafts=0, flags={
                "target": ["--threads", str(threads)]})
        finally:
            if before is None:
                del os.environ["TANDEM_SIMD"]
            else:
                os.environ["TANDEM_SIMD"] = before


def simd_levels():
    """Those that this machine has."""
    flags = open("/proc/cpuinfo").read().split()
    levels = ["scalar"]
    if {"avx2", "fma", "f16c"} <= set(flags):
        levels.append("avx2")
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl",
                "avx512_vnni"} <= set(flags):
            levels.append("avx512")
    return levels


class DecodeTest(processes.ClusterTest):
    """A score against the turn that generated the text."""

    def setUp(self):
        self.stub = turns.connect(self, self.cluster.coordinator)

    def tokenize(self, text):
        return list(self.stub.Tokenize(
            pb2.TokenizeRequest(text=text)).token_ids)

    def check(self, prompt, options):
        answer = turns.generate(self.stub, pb2.TurnRequest(
            text=prompt, options={**options, "logprobs": 3, "seed": 7,
                                  "max_tokens": 60}))
        request = pb2.ScoreRequest(tokens={"ids": self.tokenize(prompt)})
        request.continuations.add().tokens.ids.extend(answer.ids)
        scored = score(self.stub, request).scores[0]
        self.assertEqual(list(scored.token_ids), answer.ids)
        told = [position[0] for position in answer.logprobs]
        self.assertEqual(bits(scored.logprobs), bits(told))
        self.assertEqual(scored.logprob, sum(told))
        return scored

    def test_a_score_is_the_sum_of_the_decodes_logprobs(self):
        for prompt in ("Once upon a time", "x" * 200, " ".join(ENDS * 4)):
            self.assertTrue(self.check(prompt, turns.GREEDY).is_greedy)
            self.check(prompt, turns.WARM)
            self.check(prompt, turns.PENALTIES)
            scored = self.check(prompt, {
                **turns.GREEDY, "draft_length": 4,
                "logit_bias": [{"token_id": 300, "bias": 1000}]})
            self.assertFalse(scored.is_greedy)

    def test_texts_are_tokenised_with_their_prompt(self):
        prompt = "The wolf ran through"
        answer = score(self.stub, pb2.ScoreRequest(
            text=prompt, continuations=[{"text": " the forest"},
                                        {"text": "out"}]))
        own = self.tokenize(prompt)
        self.assertEqual(answer.prompt_tokens, len(own))
        for text, scored in zip((" the forest", "out"), answer.scores):
            self.assertEqual(list(scored.token_ids),
                             self.tokenize(prompt + text)[len(own):])
        alone = score(self.stub, pb2.ScoreRequest(
            continuations=[{"text": prompt}]))
        self.assertEqual(alone.prompt_tokens, 1)
        self.assertEqual(list(alone.scores[0].token_ids), own[1:])

    def test_the_commands(self):
        shown = self.cluster.tandem("score", "The king", " went", " xyzzy",
                                    "--json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        told = json.loads(shown.stdout)
        answer = score(self.stub, pb2.ScoreRequest(
            text="The king", continuations=[{"text": " went"},
                                            {"text": " xyzzy"}]))
        self.assertEqual(told["fingerprint"], answer.fingerprint)
        self.assertEqual([one["logprob"] for one in told["scores"]],
                         [one.logprob for one in answer.scores])
        self.assertGreater(answer.scores[0].logprob, answer.scores[1].logprob)
        shown = self.cluster.tandem("score", "The king", " went", " xyzzy")
        self.assertEqual(len(shown.stdout.splitlines()), 3, shown.stdout)

        text = ". ".join(f"{a} {b}" for a in SUBJECTS for b in DEEDS)
        file = self.cluster.folder / "text"
        file.write_text(text)
        shown = self.cluster.tandem("perplexity", file, "--json",
                                    "--context", "256", "--stride", "64")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        told = json.loads(shown.stdout)
        ids = self.tokenize(text)
        total = 0
        scored = 1
        for begin in range(0, len(ids), 64):
            end = min(begin + 256, len(ids))
            request = pb2.ScoreRequest(tokens={"ids": ids[begin:scored]})
            request.continuations.add().tokens.ids.extend(ids[scored:end])
            total += score(self.stub, request).scores[0].logprob
            scored = end
            if end == len(ids):
                break
        self.assertEqual(told["tokens"], len(ids) - 1)
        self.assertAlmostEqual(told["logprob"], total)
        self.assertAlmostEqual(told["perplexity"],
                               math.exp(-total / (len(ids) - 1)))
        self.assertAlmostEqual(told["bits_per_byte"],
                               -total / math.log(2) / len(text))
        self.assertIn(b"100%", shown.stderr)


class InvarianceTest(unittest.TestCase):
    """A multiple choice of many items, in every way to compute it."""

    def test_the_numbers_are_the_same_in_every_way(self):
        items = make_items()
        wanted = None
        best, *others = reversed(simd_levels())
        for level, threads, in_flight in [
                (best, 1, 16), (best, 1, 1), (best, 2, 16),
                *((level, 1, 16) for level in others)]:
            some = items[:SCALAR_ITEMS] if level == "scalar" else items
            cluster = SimdCluster(level, threads)
            self.addCleanup(cluster.stop)
            stub = turns.connect(self, cluster.coordinator)
            answers = score_all(stub, some, in_flight)
            wanted = wanted or answers
            with self.subTest(level=level, threads=threads,
                              in_flight=in_flight):
                self.assertEqual(answers, wanted[:len(some)])
            cluster.stop()
        # They are not all alike.
        self.assertGreater(len(set(wanted)), ITEMS // 2)


class KilledWorkerTest(unittest.TestCase):
    """A call whose worker is killed."""

    def test_the_call_goes_on_elsewhere_with_the_same_numbers(self):
        cluster = Cluster(targets=2, drafts=0)
        self.addCleanup(cluster.stop)
        stub = turns.connect(self, cluster.coordinator)
        draw = random.Random(f"{SEED} long")
        request = pb2.ScoreRequest(tokens={
            "ids": [1, *(draw.randint(300, 2000) for _ in range(200))]})
        for _ in range(60):
            request.continuations.add().tokens.ids.extend(
                draw.randint(300, 2000) for _ in range(100))
        wanted = score(stub, request)
        answers = []
        call = threading.Thread(
            target=lambda: answers.append(score(stub, request)))
        call.start()
        busy = []

        def has_begun():
            busy[:] = [name for name in cluster.targets if cluster.metrics(
                name)[0]["tandem_num_requests_running"] > 1]
            return busy or not call.is_alive()

        processes.wait_until(has_begun, "a worker has the call")
        self.assertTrue(call.is_alive(), "the call is too short for this test")
        cluster.processes[busy[0]].send_signal(signal.SIGKILL)
        call.join()
        self.assertEqual(answers, [wanted])


if __name__ == "__main__":
    processes.main()
