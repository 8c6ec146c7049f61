"""Workers are killed, drained and added while sessions run: no stream fails,
and ids and text are those of quiet times."""

import concurrent.futures
import random
import signal
import threading
import unittest

import processes
import turns
from turns import pb2

SESSIONS = 6

# Less than a turn takes: a worker that drains ends some of them, which then go
# on elsewhere.
DRAIN_MS = "100"

# Conversations of two turns.
TEXTS = (("Once upon a time there was a king who had three daughters.", " Who"),
         ("In a far country, beyond the sea,", " The wolf"),
         ("Good morning, good morning, good morning,", " good"),
         ("The old woman looked at him and said:", "\n\n\"I will"))
OPTIONS = (turns.GREEDY, turns.WARM, {}, turns.PENALTIES)
DRAFT_LENGTHS = (4, None)


def make_conversations():
    return [[pb2.TurnRequest(text=text, options={
        **OPTIONS[number], "seed": 100 * number + length_number,
        "max_tokens": 80, "draft_length": draft_length}) for text in texts]
        for number, texts in enumerate(TEXTS)
        for length_number, draft_length in enumerate(DRAFT_LENGTHS)]


def converse(stub, conversation):
    """The answers to turns of one session."""
    answers = []
    for turn in conversation:
        asked = pb2.TurnRequest()
        asked.CopyFrom(turn)
        if answers:
            asked.session_id = answers[0].started.session_id
        answers.append(turns.generate(stub, asked))
    return answers


class Load:
    """Sessions that have random conversations, one after the other."""

    def __init__(self, stub, conversations):
        self._stub = stub
        self._known = [(conversation, converse(stub, conversation))
                       for conversation in conversations]
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(SESSIONS)
        self._sessions = [self._pool.submit(self._run, random.Random(number))
                          for number in range(SESSIONS)]

    def _run(self, draw):
        while not self._stop.is_set():
            conversation, known = draw.choice(self._known)
            for answer, expected in zip(converse(self._stub, conversation),
                                        known):
                if (answer.ids, answer.text) != (expected.ids, expected.text):
                    raise AssertionError(
                        f"{answer.text!r} is not {expected.text!r}")

    def check(self):
        """Raises what a session has raised."""
        for session in self._sessions:
            if session.done():
                session.result()

    def stop(self):
        self._stop.set()
        self._pool.shutdown()
        self.check()


class PoolsTest(unittest.TestCase):

    def setUp(self):
        drain = ["--drain-timeout-ms", DRAIN_MS]
        self.cluster = processes.Cluster(
            targets=2, drafts=2, flags={"target": drain, "draft": drain})
        self.addCleanup(self.cluster.stop)
        stub = turns.connect(self, self.cluster.coordinator)
        self.load = Load(stub, make_conversations())
        self.addCleanup(self.load.stop)

    def wait_until_serving(self, name):
        def serving():
            self.load.check()
            return self.cluster.metrics(name)[0][
                "tandem_num_requests_running"] > 0

        processes.wait_until(serving, f"{name} serves")

    def end(self, names, sent):
        """Sends a signal to workers that serve; their exit codes."""
        for name in names:
            self.wait_until_serving(name)
        victims = [self.cluster.processes[name] for name in names]
        for victim in victims:
            victim.send_signal(sent)
        return [victim.wait(processes.LIMIT_SECONDS) for victim in victims]

    def add(self, *names):
        for name in names:
            self.cluster.start_worker(name)
        self.cluster.wait_for_workers(2, 2)
        for name in names:
            self.wait_until_serving(name)

    def change_pools(self, target, other_target, draft, other_draft):
        self.end([draft], signal.SIGKILL)
        self.end([target], signal.SIGKILL)
        self.add(draft, target)
        self.assertEqual(self.end([other_target], signal.SIGTERM), [0])
        self.add(other_target)
        self.assertEqual(self.end([other_draft], signal.SIGTERM), [0])
        self.end([other_target], signal.SIGKILL)
        self.add(other_target, other_draft)
        self.end([draft, target], signal.SIGKILL)
        self.add(draft, target)

    def test_pools_change_under_load(self):
        self.change_pools("target", "target2", "draft", "draft2")
        self.change_pools("target2", "target", "draft2", "draft")
        self.end(["draft", "draft2"], signal.SIGKILL)
        self.wait_until_serving("target")  # without any drafter
        self.add("draft", "draft2")
        self.load.stop()
        self.check_nothing_is_left()

    def check_nothing_is_left(self):
        self.cluster.wait_for_free_kv()
        figures, _ = self.cluster.metrics("coordinator")
        self.assertEqual(figures["tandem_num_requests_running"], 0)
        self.assertEqual([series for series in figures if series.startswith(
            "tandem_request_failure_total")], [])
        codes = self.cluster.stop()
        self.assertFalse(any(codes.values()), codes)


if __name__ == "__main__":
    processes.main()
