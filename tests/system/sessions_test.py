"""tandem sessions against a real coordinator with a store."""

import json
import signal
import subprocess
import unittest

import processes

PROMPT = "Once upon a time"


class SessionsTest(unittest.TestCase):

    def setUp(self):
        self.cluster = processes.Cluster(drafts=0)
        self.addCleanup(self.cluster.stop)
        # Beside the one without a store, which the cluster has.
        self.cluster.start(
            "stored", "tandem-coordinator", "--target",
            self.cluster.address("target"), "--listen", "127.0.0.1:0",
            "--state-dir", self.cluster.folder / "state")
        self.stored = self.cluster.address("stored")
        processes.wait_until(lambda: self.run_one("health").returncode == 0,
                             "the stored one is ready")

    def run_one(self, *arguments):
        return self.cluster.tandem(*arguments, "--coordinator", self.stored)

    def read(self, *arguments):
        result = self.run_one(*arguments, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def generate(self, *arguments):
        return self.read("generate", PROMPT, "--max-tokens", "8", "--seed",
                         "7", *arguments)

    def test_lists_shows_and_deletes(self):
        self.assertEqual(self.read("sessions", "list"), {"sessions": []})
        first = self.generate()
        second = self.generate("--session", first["session_id"])
        other = self.generate()
        listed = self.read("sessions", "list")["sessions"]
        self.assertEqual([session["session_id"] for session in listed],
                         sorted([first["session_id"], other["session_id"]]))
        for session in listed:
            self.assertEqual(session["tenant"], "default")
            self.assertEqual(session["model_id"], first["model_id"])
        self.assertEqual(
            len(self.read("sessions", "list", "--tenant",
                          "default")["sessions"]), 2)
        self.assertEqual(
            self.read("sessions", "list", "--tenant", "key:bob"),
            {"sessions": []})

        shown = self.read("sessions", "show", first["session_id"])
        self.assertEqual([turn["generated_tokens"] for turn in shown["turns"]],
                         [8, 8])
        self.assertEqual(
            shown["turns"][0]["prompt_tokens"],
            first["usage"]["prompt_tokens"])
        self.assertEqual(shown["turns"][1]["fingerprint"],
                         second["fingerprint"])

        deleted = self.run_one("sessions", "delete", first["session_id"])
        self.assertEqual(deleted.returncode, 0, deleted.stderr)
        self.assertEqual(deleted.stdout.decode(),
                         f"{first['session_id']} is deleted\n")
        gone = self.run_one("generate", PROMPT, "--session",
                            first["session_id"])
        self.assertEqual(gone.returncode, 1)
        self.assertIn("there is no such session", gone.stderr.decode())
        for command in ("show", "delete"):
            gone = self.run_one("sessions", command, first["session_id"])
            self.assertEqual(gone.returncode, 1)
            self.assertIn("there is no session ", gone.stderr.decode())
        left = self.read("sessions", "list")["sessions"]
        self.assertEqual([session["session_id"] for session in left],
                         [other["session_id"]])

        texts = [self.run_one("sessions", "list").stdout,
                 self.run_one("sessions", "show", other["session_id"]).stdout,
                 self.cluster.log("stored").encode()]
        for text in texts:
            self.assertNotIn(PROMPT.encode(), text)
            self.assertNotIn(other["text"].strip().encode(), text)

    def test_a_turn_under_way_ends(self):
        process = subprocess.Popen(
            [processes.BIN / "tandem", "generate", PROMPT, "--max-tokens",
             "900", "--ignore-eos", "--coordinator", self.stored],
            bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        process.stdout.read(1)
        target = self.cluster.processes["target"]
        target.send_signal(signal.SIGSTOP)  # the turn waits for it
        self.addCleanup(target.send_signal, signal.SIGCONT)
        session = self.read("sessions", "list")["sessions"][0]
        self.assertEqual(session["state"], "turn_open")
        deleted = self.run_one("sessions", "delete", session["session_id"])
        self.assertEqual(deleted.returncode, 0, deleted.stderr)
        _, messages = process.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 1, messages)
        self.assertIn("deleted by an operator", messages.decode())

    def test_without_a_store_it_says_what_helps(self):
        for arguments in (("list",), ("show", "0" * 32), ("delete", "0" * 32)):
            result = self.cluster.tandem("sessions", *arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn("--state-dir", result.stderr.decode())
            self.assertEqual(result.stderr.count(b"\n"), 1)


if __name__ == "__main__":
    processes.main()
