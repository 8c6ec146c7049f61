"""Conversations in random schedules, with every feature on, have the ids and
the text that their turns have one at a time with every feature off.

TANDEM_TEST_SEED takes other conversations and schedules.
"""

import concurrent.futures
import os
import random
import time
import unittest

import grpc

import processes
import turns
from processes import Cluster
from turns import pb2

SEED = os.environ.get("TANDEM_TEST_SEED", "1")
CONVERSATIONS = 16

# Several blocks of the prefix cache.
OPENINGS = (
    "Once upon a time there was a king who had three daughters, and the "
    "youngest of them was so beautiful that the sun itself, which has seen so "
    "much, wondered whenever it shone in her face. Close by the castle lay a "
    "great dark forest, and under an old tree in the forest was a well.",
    "The cat sat down by the fire and began to tell her tale. \"Long ago,\" "
    "she said, \"when the moon was young and the stars were only sparks, there "
    "lived in the deep wood a witch with a golden comb, and whoever combed his "
    "hair with it forgot his own name.\"")
TEXTS = (" The wolf ran through the forest and", " a", "\n\n\"I will give you",
         " two  spaces, caf\u00e9 \u2603 and 1234", " On the third day he said",
         " Good morning, good morning, good morning,", " Who",
         " Knock, knock, knock. Who is there? Knock, knock, knock. Who is")
OPTIONS = (turns.GREEDY, turns.GREEDY, turns.WARM, {}, turns.PENALTIES,
           {**turns.GREEDY, "stop_strings": [" the", "."]},
           {**turns.WARM, "logprobs": 2})

# What follows is drawn anew in each schedule: it must not change the text.
DRAFT_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, None, None, None, None)
DRAFT_SOURCES = ("DRAFT_SOURCES_UNSPECIFIED", "DRAFT_SOURCES_MODEL",
                 "DRAFT_SOURCES_LOOKUP")
WAYS = ("generate",) * 3 + ("stream",) * 3 + ("cancel", "resume", "abandon")
PAUSE_SECONDS_MAX = 0.2
UNREAD_SECONDS_MAX = 0.05

# Others have one for each CPU.
ONE_THREAD = ["--threads", "1"]

ACCEPTED = "tandem_spec_decode_num_accepted_tokens_total"
CANCELLED = 'tandem_request_success_total{finished_reason="cancelled"}'


def make_conversations():
    """Lists of turns, as far as their text depends on them."""
    draw = random.Random(f"{SEED} conversations")

    def turn(text):
        return pb2.TurnRequest(text=text, options={
            **draw.choice(OPTIONS), "seed": draw.getrandbits(64),
            "max_tokens": draw.randint(24, 60)})

    return [[turn(draw.choice(OPENINGS) + draw.choice(TEXTS)),
             *(turn(draw.choice(TEXTS)) for _ in range(draw.randint(1, 3)))]
            for _ in range(CONVERSATIONS)]


class Client:
    """Has a conversation, by random ways."""

    def __init__(self, stub, draw):
        self._stub = stub
        self._draw = draw
        self._stream = None

    def converse(self, conversation):
        """The turns' answers. One that was abandoned has not ended."""
        answers = []
        for turn in conversation:
            asked = pb2.TurnRequest(options={
                "draft_length": self._draw.choice(DRAFT_LENGTHS),
                "draft_sources": self._draw.choice(DRAFT_SOURCES)})
            asked.MergeFrom(turn)
            if answers:
                asked.session_id = answers[0].started.session_id
            way = self._draw.choice(WAYS)
            time.sleep(self._draw.random() * PAUSE_SECONDS_MAX)
            is_free = not answers or answers[-1].ended
            answers.append(self._take(asked, way) if is_free else
                           self._take_when_free(asked, way))
        if self._stream:
            self._stream.close()
        return answers

    def _take_when_free(self, asked, way):
        """Until the server knows that the last turn's stream is gone."""
        end = time.monotonic() + turns.LIMIT_SECONDS
        while True:
            try:
                return self._take(asked, way)
            except grpc.RpcError as error:
                if (error.code() != grpc.StatusCode.FAILED_PRECONDITION or
                        time.monotonic() > end):
                    raise
            self._stream = None
            time.sleep(0.01)

    def _take(self, asked, way):
        if way == "generate":
            return turns.generate(self._stub, asked)
        answer = turns.Answer()
        self._stream = self._stream or turns.Stream(self._stub)
        self._stream.send(start=asked)
        if way != "stream":
            self._stream.read(answer, self._draw.randint(1, 16))
        if not answer.ended:
            self._go_on(answer, way)
        return answer

    def _go_on(self, answer, way):
        """With a turn of which some ids have come, or none yet."""
        if way == "cancel":
            self._stream.send(cancel={})
        elif way in ("resume", "abandon"):
            # The server goes on meanwhile, with tokens that are never read.
            time.sleep(self._draw.random() * UNREAD_SECONDS_MAX)
            self._stream.drop()
            self._stream = None
            if way == "abandon":
                return
            self._stream = turns.Stream(self._stub)
            self._stream.send(resume={
                "session_id": answer.started.session_id,
                "turn": answer.started.turn,
                "tokens_received": len(answer.ids),
                "text_bytes_received": len(answer.text.encode())})
        self._stream.read(answer)


class WithoutTurns(Cluster):
    """Workers that do not take turns to compute: drafters may go ahead."""

    def worker(self, role, model):
        return ["tandem-worker", "--role", role, "--model", model]


class ScheduleTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        print(f"TANDEM_TEST_SEED={SEED}", flush=True)
        cls.conversations = make_conversations()
        cls.known = {}
        cls.plain = Cluster(drafts=0, flags={
            "target": ["--prefix-cache", "off", *ONE_THREAD],
            "coordinator": ["--no-draft-ahead"]})
        cls.addClassCleanup(cls.plain.stop)
        cls.plain_stub = turns.connect(cls, cls.plain.coordinator)

    def plain_answer(self, prompt, options):
        """Of a turn by itself, in a session of its own, from token ids."""
        turn = pb2.TurnRequest(tokens={"ids": prompt}, options=options)
        turn.options.draft_length = 0
        key = turn.SerializeToString(deterministic=True)
        if key not in self.known:
            self.known[key] = turns.generate(self.plain_stub, turn)
        return self.known[key]

    def tokens_of(self, text, add_bos):
        return list(self.plain_stub.Tokenize(pb2.TokenizeRequest(
            text=text, add_bos=add_bos)).token_ids)

    def check_conversation(self, conversation, answers):
        history = []
        for number, (turn, answer) in enumerate(zip(conversation, answers)):
            prompt = history + self.tokens_of(turn.text, not history)
            self.assertEqual(answer.started.prompt_tokens, len(prompt))
            if answer.ended:
                self.check_ended(answer, prompt, turn.options)
                history = prompt + answer.ids
                continue
            plain = self.plain_answer(prompt, turn.options)
            self.assertEqual(answer.ids, plain.ids[:len(answer.ids)])
            self.assertTrue(plain.text.startswith(answer.text))
            if number + 1 < len(answers):
                # More may be committed than the client has seen.
                history = prompt + plain.ids[:self.committed(
                    prompt, conversation[number + 1], answers[number + 1])]
                self.assertGreaterEqual(len(history),
                                        len(prompt) + len(answer.ids))

    def check_ended(self, answer, prompt, options):
        if answer.ended.finish_reason == pb2.FINISH_REASON_CANCELLED:
            # A turn that was cut is as one that was to be so long.
            cut = type(options)()
            cut.CopyFrom(options)
            cut.max_tokens = len(answer.ids)
            options = cut
        plain = self.plain_answer(prompt, options)
        self.assertEqual(answer.ids, plain.ids)
        self.assertEqual(answer.text, plain.text)
        self.assertEqual(answer.logprobs, plain.logprobs)
        self.assertEqual(answer.ended.usage.generated_tokens, len(plain.ids))

    def committed(self, prompt, next_turn, next_answer):
        """Tokens of an abandoned turn, by what its session's next one says."""
        return (next_answer.started.prompt_tokens - len(prompt) -
                len(self.tokens_of(next_turn.text, False)))

    def run_schedule(self, cluster, at_once):
        """All conversations, `at_once` of them at a time. The processes'
        metrics."""
        self.addCleanup(cluster.stop)
        draw = random.Random(f"{SEED} {self.id()}")
        stubs = [turns.connect(self, cluster.address(name))
                 for name in cluster.coordinators]
        order = draw.sample(self.conversations, CONVERSATIONS)
        with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
            running = [
                pool.submit(Client(draw.choice(stubs),
                                   random.Random(draw.random())).converse,
                            conversation) for conversation in order]
        for conversation, future in zip(order, running):
            self.check_conversation(conversation, future.result())
        cluster.wait_for_free_kv()
        figures = {name: cluster.metrics(name)[0]
                   for name in cluster.processes}
        self.check_what_took_part(cluster, figures)
        codes = cluster.stop()
        self.assertFalse(any(codes.values()), codes)
        return figures

    def check_what_took_part(self, cluster, figures):
        """Else equal texts would prove nothing."""
        for name in cluster.coordinators:
            self.assertGreater(
                figures[name]["tandem_generation_tokens_total"], 0)
        for series in ("tandem_prefix_cache_hits_total",
                       ACCEPTED + '{source="model"}',
                       ACCEPTED + '{source="lookup"}',
                       CANCELLED):
            self.assertGreater(total(figures, series), 0, series)

    def check_batches(self, cluster, figures):
        """There were fewer passes than rounds: some served several turns."""
        passes = sum(figures[name]["tandem_step_seconds_count"]
                     for name in cluster.targets)
        self.assertLess(passes, total(figures, "tandem_rounds_total"))

    def test_drafts_ahead(self):
        cluster = WithoutTurns(flags={"target": ONE_THREAD,
                                      "draft": ONE_THREAD})
        figures = self.run_schedule(cluster, at_once=4)
        self.assertGreater(
            total(figures, "tandem_spec_decode_num_ahead_used_total"), 0)

    def test_short_passes_for_two_coordinators(self):
        short = ["--rows-max", "8"]
        cluster = Cluster(coordinators=2,
                          flags={"target": short, "draft": short})
        figures = self.run_schedule(cluster, at_once=8)
        self.check_batches(cluster, figures)
        # Workers that take turns are not asked ahead.
        self.assertEqual(
            total(figures, "tandem_spec_decode_num_ahead_asked_total"), 0)
        target = figures["target"]
        self.assertEqual(target['tandem_step_rows_bucket{le="8"}'],
                         target["tandem_step_rows_count"])

    def test_two_targets_with_little_kv(self):
        # Room for any turn, and for two or three at once.
        little = ["--kv-tokens", "512", *ONE_THREAD]
        cluster = Cluster(targets=2, flags={
            "target": little, "draft": little,
            "coordinator": ["--queue-timeout-ms",
                            str(turns.LIMIT_SECONDS * 1000)]})
        figures = self.run_schedule(cluster, at_once=10)
        self.check_batches(cluster, figures)
        # Some turns waited for KV.
        self.assertGreater(
            total(figures, "tandem_request_queue_time_seconds_sum"), 0)


def total(figures, series):
    return sum(values.get(series, 0) for values in figures.values())


if __name__ == "__main__":
    processes.main()
