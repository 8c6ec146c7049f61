"""Workers that hang, as a stopped process does, and prompts that end workers: no
token is lost, none changes, and nobody waits for long."""

import signal
import statistics
import unittest

import grpc

import processes
from resuming_client import Follower, details_of
from stored_cluster import CostCluster, StoredCluster
import turns

# A hung worker is found within 2 s, and a worker that lives is not lost; without
# the watchdog it takes 15 s or more.
FOUND_SECONDS = 8
PASS_MS = 20
TOKENS = 150


def request(text="Once upon a time", tokens=TOKENS, **options):
    return turns.pb2.TurnRequest(text=text, options=dict(
        turns.GREEDY, max_tokens=tokens, ignore_eos=True, seed=1,
        **{"draft_length": 0, **options}))


class HangTest(unittest.TestCase):

    def start(self, cluster=CostCluster, **options):
        self.cluster = cluster(**options)
        self.addCleanup(self.cluster.stop)
        self.addCleanup(self.continue_all)
        self.stub = turns.connect(self, self.cluster.coordinator)

    def follow(self, turn):
        return Follower(self.stub, turns.pb2.ConverseRequest(start=turn))

    def signal(self, name, number):
        self.cluster.processes[name].send_signal(number)

    def continue_all(self):
        for name in self.cluster.processes:
            self.signal(name, signal.SIGCONT)

    def serving(self):
        """The target that has a sequence."""
        found = []

        def is_found():
            found[:] = [
                name for name in self.cluster.targets
                if self.cluster.processes[name].poll() is None and
                self.cluster.metrics(name)[0][
                    "tandem_num_requests_running"] == 1]
            return found

        processes.wait_until(is_found, "a target has the turn")
        return found[0]

    def workers(self, role, state):
        return self.cluster.metrics("coordinator")[0][
            f'tandem_workers{{role="{role}",state="{state}"}}']

    def wait_for(self, role, state, count):
        processes.wait_until(lambda: self.workers(role, state) == count,
                             f"{count} {role} workers are {state}")

    def longest_gap(self, follower, number_from):
        """Between two events, from one of them on, in seconds."""
        times = follower.times[number_from:]
        return max((after - before for before, after in zip(times, times[1:])),
                   default=0)

    def check_equal(self, history, plain):
        self.assertIsNotNone(history.ended)
        self.assertEqual(history.ids, plain.ids)
        self.assertEqual(history.text, plain.text)

    def test_a_turn_leaves_a_stopped_target(self):
        self.start(targets=2, pass_ms=PASS_MS)
        plain = turns.converse(self.stub, request())
        for _ in range(2):
            follower = self.follow(request())
            follower.wait_for(20)
            stopped = self.serving()
            self.signal(stopped, signal.SIGSTOP)
            events = len(follower.times)
            history = follower.finish()
            self.assertIsNone(follower.error)
            self.check_equal(history, plain)
            gap = self.longest_gap(follower, events - 1)
            print(f"a stopped target: {gap:.2f} s", flush=True)
            self.assertLess(gap, FOUND_SECONDS)
            self.assertEqual(self.workers("target", "usable"), 1)
            self.assertIn("it hangs", self.cluster.log("coordinator"))
            self.signal(stopped, signal.SIGCONT)
            self.wait_for("target", "usable", 2)
        self.cluster.wait_for_free_kv()

    def test_the_only_target_goes_on(self):
        self.start(targets=1, pass_ms=PASS_MS)
        plain = turns.converse(self.stub, request())
        follower = self.follow(request())
        follower.wait_for(20)
        self.signal("target", signal.SIGSTOP)
        self.wait_for("target", "gone", 1)
        self.signal("target", signal.SIGCONT)
        self.check_equal(follower.finish(), plain)

    def test_a_long_pass_is_no_hang(self):
        """Nor are turns that wait in the worker's queue: nothing is reported
        meanwhile."""
        self.start(targets=1, pass_ms=3000,
                   flags={"target": ["--sequences-max", "1"]})
        followers = [self.follow(request(tokens=1)) for _ in range(2)]
        for follower in followers:
            self.assertIsNotNone(follower.finish().ended)
        self.assertNotIn("it hangs", self.cluster.log("coordinator"))

    def test_a_stopped_drafter_costs_one_short_wait(self):
        self.start(targets=1, drafts=1, pass_ms=PASS_MS)
        turn = request(tokens=300, draft_length=4)
        plain = turns.converse(self.stub, turn)
        gaps = []
        for _ in range(3):
            follower = self.follow(turn)
            follower.wait_for(20)
            self.signal("draft", signal.SIGSTOP)
            events = len(follower.times)
            self.check_equal(follower.finish(), plain)
            gaps.append(self.longest_gap(follower, events - 1))
            # The rest of the turn took longer than finding it out.
            self.assertEqual(self.workers("draft", "gone"), 1)
            self.signal("draft", signal.SIGCONT)
            self.wait_for("draft", "usable", 1)
        print(f"a stopped drafter: {statistics.median(gaps) * 1000:.0f} ms "
              f"({max(gaps) * 1000:.0f} ms)", flush=True)
        self.assertLess(statistics.median(gaps), 0.2)

    def test_a_drafter_that_is_stopped_on_shared_cores(self):
        """It may have the compute turn, which the target then goes without."""
        self.start(StoredCluster, targets=1, drafts=1)
        turn = request(draft_length=4)
        plain = turns.converse(self.stub, turn)
        for _ in range(5):
            follower = self.follow(turn)
            follower.wait_for(1)
            self.signal("draft", signal.SIGSTOP)
            events = len(follower.times)
            self.check_equal(follower.finish(), plain)
            print("a stopped drafter on shared cores: "
                  f"{self.longest_gap(follower, events - 1):.2f} s", flush=True)
            self.signal("draft", signal.SIGCONT)
            self.wait_for("draft", "usable", 1)

    def test_a_prompt_that_ends_workers(self):
        """Whoever has the prompt is killed before its first answer."""
        self.start(targets=3, pass_ms=1500)
        bad = request(text="The little dog", tokens=1)
        follower = self.follow(bad)
        for _ in range(2):
            self.cluster.kill(self.serving())
        follower.finish()
        self.check_refused(follower.error)
        with self.assertRaises(grpc.RpcError) as raised:
            turns.converse(self.stub, bad)
        self.check_refused(raised.exception)
        values = self.cluster.metrics("coordinator")[0]
        self.assertEqual(values["tandem_quarantined_prompts_total"], 1)
        self.assertEqual(values["tandem_request_failure_total"
                                '{reason="PROMPT_QUARANTINED"}'], 2)
        self.assertEqual(self.workers("target", "usable"), 1)
        turns.converse(self.stub, request(tokens=1))

    def check_refused(self, error):
        self.assertEqual(error.code(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(details_of(error)[0], "PROMPT_QUARANTINED")


if __name__ == "__main__":
    processes.main()
