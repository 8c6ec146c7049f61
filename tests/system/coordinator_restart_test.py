"""Streams outlive a coordinator that is killed and started again over the same
store: no token is lost, none comes twice, and the text is that of an
undisturbed run."""

import random
import signal
import subprocess
import time
import unittest

import processes
from stored_cluster import StoredCluster

PROMPT = "Once upon a time"
SEED = "11"
TOKENS = 900  # some 400 ms, of a context of 1,024
FLAGS = ["--max-tokens", str(TOKENS), "--ignore-eos", "--seed", SEED]


class CoordinatorRestartTest(unittest.TestCase):

    def setUp(self):
        self.cluster = StoredCluster()
        self.addCleanup(self.cluster.stop)

    def generate(self, *arguments):
        return subprocess.Popen(
            [processes.BIN / "tandem", "generate", PROMPT, *FLAGS, *arguments],
            bufsize=0,  # communicate() would lose what a buffer has
            env={**processes.os.environ, **self.cluster.environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def stored_sessions(self):
        result = self.cluster.tandem("sessions", "list")
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout.count(b"\n")

    def test_a_stream_outlives_the_coordinator(self):
        """kill -9 in the middle, at random points, several times."""
        drawn = random.randrange(10**9)
        chance = random.Random(drawn)
        for options in ((), ("--temperature", "0"),
                        ("--draft-length", "0", "--logprobs", "2", "--json")):
            with self.subTest(options=options, drawn=drawn):
                plain, _ = self.generate(*options).communicate()
                before = self.stored_sessions()
                process = self.generate(*options)
                # Who has not reached the service yet gives up where it is gone.
                begin = b""
                if "--json" in options:
                    processes.wait_until(
                        lambda count=before: self.stored_sessions() > count,
                        "the turn begins")
                else:
                    begin = process.stdout.read(1)
                for _ in range(2):
                    time.sleep(chance.uniform(0, 0.1))
                    self.assertIsNone(process.poll(), "is over too early")
                    self.cluster.kill_coordinator()
                    self.cluster.start_coordinator()
                text, messages = process.communicate(
                    timeout=processes.LIMIT_SECONDS)
                text = begin + text
                self.assertEqual(process.returncode, 0, messages)
                if "--json" not in options:
                    self.assertEqual(text, plain)
                    continue
                for key in ("token_ids", "text", "logprobs", "finish_reason"):
                    self.assertEqual(processes.json.loads(text)[key],
                                     processes.json.loads(plain)[key])

    def test_a_conversation_outlives_the_coordinator(self):
        def turn(*arguments):
            result = self.cluster.tandem(
                "generate", *arguments, "--max-tokens", "20", "--seed", SEED,
                "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            return processes.json.loads(result.stdout)

        first = turn(PROMPT)
        plain = turn(" and then", "--session", first["session_id"])
        again = turn(PROMPT)
        self.assertEqual(first["text"], again["text"])
        self.cluster.kill_coordinator()
        self.cluster.start_coordinator()
        later = turn(" and then", "--session", again["session_id"])
        self.assertEqual(later["text"], plain["text"])
        self.assertEqual(later["turn"], 2)
        self.assertEqual(later["usage"]["prompt_tokens"],
                         plain["usage"]["prompt_tokens"])

    def test_termination_hands_turns_over(self):
        """SIGTERM and a new process: a stream goes on as after a kill."""
        plain, _ = self.generate().communicate()
        process = self.generate()
        begin = process.stdout.read(1)
        coordinator = self.cluster.processes["coordinator"]
        coordinator.send_signal(signal.SIGTERM)
        coordinator.wait(processes.LIMIT_SECONDS)
        self.cluster.start_coordinator()
        text, messages = process.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 0, messages)
        self.assertEqual(begin + text, plain)

    def test_wrong_folders_are_refused_before_listening(self):
        for folder, part in ((self.cluster.folder / "state", "another process"),
                             ("/proc/none", "can not be made"),
                             ("/dev/null", "name a folder")):
            result = subprocess.run(
                [processes.BIN / "tandem-coordinator", "--target",
                 "127.0.0.1:1", "--listen", "127.0.0.1:0", "--state-dir",
                 folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=processes.LIMIT_SECONDS, check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(part, result.stderr.decode())


if __name__ == "__main__":
    processes.main()
