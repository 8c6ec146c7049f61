"""A prompt that comes in parts is the prompt of all parts joined: the same ids,
text and receipt, whatever the parts are and whatever happens to workers, and
the turn finds in the worker's cache what came before `start`.

TANDEM_TEST_SEED takes other parts. TANDEM_APPEND_MODEL names another model for
the long prompt, whose times are printed: one of 16,384 tokens of context, as
`tandem bench synthesize --shape llama-1.1b --context 16384` makes.
"""

import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import grpc

import processes
import turns
from processes import Cluster
from turns import pb2

README = processes.SOURCE_DIR / "services/coordinator/append/README.md"
SEED = os.environ.get("TANDEM_TEST_SEED", "1")
OPTIONS = {**turns.WARM, "seed": 7, "max_tokens": 40}
IDLE_MS = 400
LONG_MODEL = os.environ.get("TANDEM_APPEND_MODEL")
# The sizes of a page of KV and of what comes after a text's last word.
PAGE = 32
SENTENCES = ("The king went into the deep forest, and said: \"Who is there?\"",
             "Nobody answered; but the youngest daughter (so they say)",
             "had 12 golden combs and 345 caf\u00e9s \u2603.\n",
             "A wolf sat down by the fire, until the sun rose.")


def make_prompt(draw, words):
    """A text of about so many words, with no two beginnings alike."""
    text = f"{draw.randint(0, 10**9)}"
    while len(text.split()) < words:
        text += " " + draw.choice(SENTENCES)
    return text


def parts_of(draw, text, bytes_max):
    while text:
        size = draw.randint(1, bytes_max)
        yield text[:size]
        text = text[size:]


class Typed:
    """A prompt whose parts are sent before its turn."""

    def __init__(self, stub, session_id="", **fields):
        self.stream = turns.Stream(stub)
        self.fields = {"session_id": session_id, **fields}

    def append(self, text):
        self.stream.send(append={**self.fields, "text": text})

    def start(self, text="", options=None):
        answer = turns.Answer()
        self.stream.send(start={**self.fields, "text": text,
                                "options": options or OPTIONS})
        begun = time.monotonic()
        self.stream.read(answer, ids_max=1)
        self.first_token_ms = 1000 * (time.monotonic() - begun)
        if not answer.ended:
            self.stream.read(answer)
        return answer


class AppendTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(flags={
            "coordinator": ["--append-idle-ms", str(IDLE_MS)]})
        cls.addClassCleanup(cls.cluster.stop)
        cls.stub = turns.connect(cls, cls.cluster.coordinator)
        cls.stubs = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.stubs.cleanup)
        processes.make_stubs(cls.stubs.name)

    def running(self):
        return sum(self.cluster.metrics(name)[0]["tandem_num_requests_running"]
                   for name in self.cluster.targets)

    def whole(self, text, **fields):
        """The turn of the whole prompt; other tenants' KV and that of texts
        that begin otherwise is not shared, so it is asked for last."""
        return turns.converse(self.stub, pb2.TurnRequest(
            text=text, options=OPTIONS, **fields))

    def assert_equal_turns(self, typed, whole):
        self.assertEqual(typed.ids, whole.ids)
        self.assertEqual(typed.text, whole.text)
        self.assertEqual(typed.started.prompt_tokens,
                         whole.started.prompt_tokens)
        self.assertEqual(typed.ended.receipt.prompt_hash,
                         whole.ended.receipt.prompt_hash)
        self.assertNotEqual(whole.ended.receipt.prompt_hash, "")

    def test_any_parts_give_the_turn_of_the_whole(self):
        draw = random.Random(f"{SEED} parts")
        for number in range(12):
            text = make_prompt(draw, 90)
            typed = Typed(self.stub, parse_special=number % 3 == 0)
            *parts, last = parts_of(draw, text, draw.choice((3, 20, 200)))
            for part in parts:
                typed.append(part)
            answer = typed.start(last)
            typed.stream.drop()
            with self.subTest(number=number):
                self.assert_equal_turns(answer, self.whole(
                    text, parse_special=number % 3 == 0))

    def test_the_turn_finds_what_came_before(self):
        draw = random.Random(f"{SEED} cached")
        figures = []
        for _ in range(3):
            # In the demo pair's context of 1,024 tokens.
            text = make_prompt(draw, 330)
            typed = Typed(self.stub)
            parts = list(parts_of(draw, text, 60))
            for part in parts:
                typed.append(part)
                time.sleep(0.01)
            processes.wait_until(lambda: self.running() <= 1, "a pause")
            time.sleep(0.2)  # less than the sequence is kept for
            answer = typed.start()
            typed.stream.drop()
            usage = answer.ended.usage
            # All but the last words, and what is no whole page.
            self.assertGreater(usage.cached_prompt_tokens,
                               usage.prompt_tokens - 4 * PAGE)
            self.assertEqual(usage.cached_prompt_tokens % PAGE, 0)
            # The same prompt in a text that begins otherwise is computed.
            other = Typed(self.stub)
            fresh = other.start("0" + text)
            other.stream.drop()
            self.assertLess(fresh.ended.usage.cached_prompt_tokens, PAGE)
            self.assert_equal_turns(answer, self.whole(text))
            figures.append(f"{usage.prompt_tokens} tokens: "
                           f"{typed.first_token_ms:.1f} ms to the first token, "
                           f"{other.first_token_ms:.1f} ms as a whole")
        print("\n".join(figures))

    def test_a_session_goes_on_in_parts(self):
        draw = random.Random(f"{SEED} session")
        first = self.whole("Once upon a time")
        again = self.whole("Once upon a time")
        text = make_prompt(draw, 60)
        typed = Typed(self.stub, session_id=first.started.session_id)
        for part in parts_of(draw, text, 30):
            typed.append(part)
        answer = typed.start()
        typed.stream.drop()
        self.assertEqual(answer.started.turn, 2)
        self.assert_equal_turns(answer, self.whole(
            text, session_id=again.started.session_id))

    def test_a_pause_gives_the_kv_back(self):
        text = make_prompt(random.Random(f"{SEED} pause"), 80)
        typed = Typed(self.stub)
        typed.append(text)
        processes.wait_until(lambda: self.running() == 1, "it is computed")
        processes.wait_until(lambda: self.running() == 0, "it is closed")
        typed.append(" And then")
        processes.wait_until(lambda: self.running() == 1, "it comes back")
        answer = typed.start(" he spoke")
        typed.stream.drop()
        self.assertGreater(answer.ended.usage.cached_prompt_tokens, PAGE)
        self.assert_equal_turns(answer, self.whole(text + " And then he spoke"))

    def test_the_example_of_the_readme(self):
        example = README.read_text().split("```text\n")[1].split("```")[0]
        lines = ["Once upon a time there was\n", "a king who had\n"]
        typed = subprocess.run(
            [sys.executable, "-c", "import os, queue, sys, grpc\n"
             "from tandem.v1 import generation_pb2 as pb, "
             "generation_pb2_grpc as rpc\n"
             "channel = grpc.insecure_channel("
             "os.environ['TANDEM_COORDINATOR'])\n" + example],
            input="".join(lines).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=turns.LIMIT_SECONDS, check=False,
            env={**os.environ, **self.cluster.environment,
                 "PYTHONPATH": self.stubs.name})
        self.assertEqual(typed.returncode, 0, typed.stderr.decode())
        self.assertGreater(len(typed.stdout.decode().split()), 10)

    def test_a_cancel_drops_the_parts(self):
        typed = Typed(self.stub)
        typed.append("Nobody will ever hear of this. " * 20)
        typed.stream.send(cancel={})
        answer = typed.start("Once upon a time")
        typed.stream.drop()
        self.assert_equal_turns(answer, self.whole("Once upon a time"))

    def refused(self, *messages):
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in self.stub.Converse(
                    iter([pb2.ConverseRequest(**m) for m in messages]),
                    timeout=turns.LIMIT_SECONDS):
                pass
        return caught.exception

    def test_what_does_not_fit_is_refused(self):
        part = {"append": {"text": "Once"}}
        for code, what, messages in (
                (grpc.StatusCode.INVALID_ARGUMENT, "kind",
                 [part, {"append": {"tokens": {"ids": [5]}}}]),
                (grpc.StatusCode.INVALID_ARGUMENT, "first part",
                 [part, {"start": {"text": "x", "parse_special": True}}]),
                (grpc.StatusCode.INVALID_ARGUMENT, "kind",
                 [part, {"start": {"messages": {"messages": [
                     {"role": "CHAT_ROLE_USER", "content": "x"}]}}}]),
                (grpc.StatusCode.INVALID_ARGUMENT, "context",
                 [{"append": {"tokens": {"ids": [5] * 2000}}}]),
                (grpc.StatusCode.NOT_FOUND, "session",
                 [{"append": {"text": "x", "session_id": "f" * 32}}]),
                (grpc.StatusCode.FAILED_PRECONDITION, "under way",
                 [{"start": {"text": "Once", "options": {
                     "max_tokens": 900, "ignore_eos": True}}}, part])):
            error = self.refused(*messages)
            self.assertEqual(error.code(), code, error.details())
            self.assertIn(what, error.details())

    def test_parts_that_start_nothing_leave_nothing(self):
        list(self.stub.Converse(iter([pb2.ConverseRequest(
            append={"text": make_prompt(random.Random(1), 80)})]),
            timeout=turns.LIMIT_SECONDS))
        processes.wait_until(lambda: self.running() == 0, "KV is free")


def with_context(file, tokens):
    """`file`, a llama's GGUF, with a context of `tokens` tokens."""
    # A key, the type of a uint32, and that.
    key = b"llama.context_length" + struct.pack("<I", 4)
    value = file.index(key) + len(key)
    return file[:value] + struct.pack("<I", tokens) + file[value + 4:]


class LongCluster(Cluster):
    """A target alone that has room for a long prompt."""

    def worker(self, role, model):
        if LONG_MODEL:
            return super().worker(role, LONG_MODEL)
        file = self.folder / "long.gguf"
        file.write_bytes(with_context(model.read_bytes(), 4096))
        return super().worker(role, file)

    def passes(self):
        return self.metrics("target")[0]["tandem_step_seconds_count"]

    def has_computed(self, tokens):
        """Whether a sequence has room for `tokens`, and nothing is under way.
        A piece follows the one before within milliseconds."""
        before, _ = self.metrics("target")
        time.sleep(0.5)
        after, _ = self.metrics("target")
        return (before["tandem_requests_pending"] == 0 and
                after["tandem_requests_pending"] == 0 and
                before["tandem_step_seconds_count"] ==
                after["tandem_step_seconds_count"] and
                after['tandem_kv_pages{state="reserved"}'] * PAGE >= tokens)


class LongPromptTest(unittest.TestCase):
    """What the first token of a long prompt still costs at `start`."""

    # The whole prompt has no first token before its last pass: one token says
    # how many there were. Its probabilities have the bits of all KV before it.
    OPTIONS = {**OPTIONS, "max_tokens": 1, "logprobs": 5}

    def begin(self):
        """A worker that has computed nothing, and its stub."""
        cluster = LongCluster(drafts=0)
        self.addCleanup(cluster.stop)
        return cluster, turns.connect(self, cluster.coordinator)

    def first_token(self, cluster, stub, text, parts=(), tokens=0):
        """The turn of `parts`, which come before `start`, and of `text`; the
        passes and the milliseconds from `start` to its first token."""
        typed = Typed(stub)
        for part in parts:
            typed.append(part)
        if parts:
            processes.wait_until(
                lambda: cluster.has_computed(tokens - 2 * PAGE),
                "all parts are computed")
        before = cluster.passes()
        answer = typed.start(text, self.OPTIONS)
        passes = cluster.passes() - before
        typed.stream.drop()
        return answer, passes, typed.first_token_ms

    def test_the_first_token_of_a_typed_prompt_takes_two_passes(self):
        text = make_prompt(random.Random(f"{SEED} long"), 1500)
        whole, whole_passes, whole_ms = self.first_token(*self.begin(), text)
        tokens = whole.started.prompt_tokens
        size = len(text) // 40
        parts = [text[at:at + size] for at in range(0, len(text), size)]
        typed, typed_passes, typed_ms = self.first_token(
            *self.begin(), "", parts, tokens)
        print(f"{tokens} tokens: {typed_ms:.1f} ms and {typed_passes:.0f} "
              f"passes to the first token, {whole_ms:.1f} ms and "
              f"{whole_passes:.0f} as a whole")
        self.assertGreaterEqual(tokens, 2000)
        self.assertLessEqual(typed_passes, 2)
        # In passes of at most 256 rows.
        self.assertEqual(whole.ended.usage.cached_prompt_tokens, 0)
        self.assertGreaterEqual(whole_passes, tokens // 256)
        self.assertEqual(len(typed.ids), 1)
        self.assertEqual(typed.ids, whole.ids)
        self.assertEqual(typed.text, whole.text)
        self.assertEqual(typed.logprobs, whole.logprobs)
        self.assertEqual(typed.ended.receipt.prompt_hash,
                         whole.ended.receipt.prompt_hash)


class KilledWorkerTest(unittest.TestCase):

    def test_the_turn_is_the_same(self):
        cluster = Cluster(targets=2)
        self.addCleanup(cluster.stop)
        stub = turns.connect(self, cluster.coordinator)
        text = make_prompt(random.Random(f"{SEED} killed"), 150)
        typed = Typed(stub)
        half = len(text) // 2
        typed.append(text[:half])

        def busy():
            return [name for name in cluster.targets if cluster.metrics(
                name)[0]["tandem_num_requests_running"] == 1]

        processes.wait_until(busy, "a worker has the first half")
        name = busy()[0]
        cluster.processes[name].send_signal(signal.SIGKILL)
        cluster.processes[name].wait()
        typed.append(text[half:-10])
        answer = typed.start(text[-10:])
        typed.stream.drop()
        whole = turns.converse(stub, pb2.TurnRequest(text=text,
                                                     options=OPTIONS))
        self.assertEqual(answer.ids, whole.ids)
        self.assertEqual(answer.text, whole.text)
        self.assertEqual(answer.ended.receipt.prompt_hash,
                         whole.ended.receipt.prompt_hash)


if __name__ == "__main__":
    processes.main()
