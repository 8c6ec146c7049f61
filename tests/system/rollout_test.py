"""Two versions of a model under one name: a turn stays with its own, and a
session goes on with what is served."""

import unittest

import grpc

import processes
from resuming_client import Follower, details_of
from stored_cluster import CostCluster
import turns

PASS_MS = 20
TOKENS = 200
VERSIONS = ("4096", "4000")  # contexts, which the fingerprint holds


def start(session_id=""):
    return turns.pb2.ConverseRequest(start=turns.pb2.TurnRequest(
        session_id=session_id, text="Once upon a time",
        options={"max_tokens": TOKENS, "ignore_eos": True, "seed": 5}))


class RolloutTest(unittest.TestCase):

    def setUp(self):
        self.flags = {}
        self.set_version(0)
        self.cluster = CostCluster(flags=self.flags, pass_ms=PASS_MS)
        self.addCleanup(self.cluster.stop)
        self.stub = turns.connect(self, self.cluster.addresses()[0])

    def set_version(self, version):
        self.flags["target"] = ["--model-id", "tales", "--context-max",
                                VERSIONS[version]]

    def roll_out(self, version):
        self.cluster.kill("target")
        self.set_version(version)
        self.cluster.start_worker("target")

    def test_a_turn_waits_for_its_version_and_a_session_does_not(self):
        wanted = Follower(self.stub, start()).finish().result()
        stream = Follower(self.stub, start())
        other = Follower(self.stub, start())
        stream.wait_for(20)
        other.wait_for(20)
        self.roll_out(1)
        history, left = stream.finish(), other.finish()
        for each in (stream, other):
            self.assertEqual(each.error.code(),
                             grpc.StatusCode.FAILED_PRECONDITION)
            self.assertEqual(details_of(each.error)[0], "MODEL_CHANGED")
        # The next turn follows all that came, on the new version.
        session_id = left.started.session_id
        following = Follower(self.stub, start(session_id)).finish()
        self.assertTrue(following.started.model_changed)
        self.assertNotEqual(following.started.fingerprint,
                            left.started.fingerprint)
        self.assertEqual(len(following.ids), TOKENS)
        self.assertGreater(following.started.prompt_tokens,
                           left.started.prompt_tokens + len(left.ids))
        # An old worker is back: the other turn goes on where it was.
        self.roll_out(0)
        stream = Follower(self.stub, history.resume_request(), history)
        self.assertEqual(stream.finish().result(), wanted)
        self.assertIsNone(stream.error)
        self.assertFalse(history.started.model_changed)
        self.assertEqual(history.ended.moves, 1)


if __name__ == "__main__":
    processes.main()
