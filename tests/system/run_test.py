"""tandem run against the served model: the same text; and Ctrl-C, terminals."""

import json
import os
import pty
import signal
import subprocess
import unittest

import processes

PROMPT = "Once upon a time"
FLAGS = ("--max-tokens", "48", "--seed", "7")


def run_json(*arguments, **options):
    result = processes.tandem("run", processes.TARGET_MODEL, *arguments,
                              "--json", **options)
    if result.returncode != 0:
        raise AssertionError(result.stderr.decode())
    return json.loads(result.stdout)


class ServedTest(processes.ClusterTest):

    def test_the_text_is_the_served_one(self):
        for more in ((), ("--temperature", "0"),
                     ("--temperature", "1.2", "--stop", " and ")):
            served = json.loads(self.cluster.tandem(
                "generate", PROMPT, *FLAGS, *more, "--json").stdout)
            for draft in ((), ("--draft", processes.DRAFT_MODEL),
                          ("--draft", processes.DRAFT_MODEL,
                           "--draft-length", "4"),
                          ("--draft-length", "0"), ("--threads", "1")):
                with self.subTest(more=more, draft=draft):
                    turn = run_json(PROMPT, *FLAGS, *more, *draft)
                    for key in ("token_ids", "text", "finish_reason", "seed",
                                "fingerprint"):
                        self.assertEqual(turn[key], served[key])

    def test_output_is_byte_for_byte_that_of_generate(self):
        served = self.cluster.tandem("generate", PROMPT, *FLAGS)
        mine = processes.tandem("run", processes.TARGET_MODEL, *FLAGS,
                                input=PROMPT.encode())
        self.assertEqual(mine.returncode, 0, mine.stderr.decode())
        self.assertEqual(mine.stdout, served.stdout)
        self.assertEqual(mine.stderr, b"")


class ProcessTest(unittest.TestCase):

    def start(self, *arguments, **options):
        process = subprocess.Popen(
            [processes.BIN / "tandem", "run", processes.TARGET_MODEL,
             *arguments], stdin=subprocess.DEVNULL, **options)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_an_interrupt_ends_the_turn(self):
        process = self.start(
            PROMPT, "--max-tokens", "1000", "--seed", "7", "--draft-length",
            "0", "--stats", "--threads", "1", stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        # Text comes as it is made, not at the end.
        begin = os.read(process.stdout.fileno(), 1)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 130, error.decode())
        self.assertIn(b"ended by cancelled; seed 7", error)
        whole = run_json(PROMPT, "--max-tokens", "1000", "--seed", "7")["text"]
        text = (begin + out).decode()
        self.assertTrue(text.endswith("\n"))
        self.assertTrue(whole.startswith(text.rstrip("\n")), text)

    def test_a_terminal_sees_the_model_load(self):
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        process = self.start("A", "--max-tokens", "2", stderr=theirs,
                             stdout=subprocess.DEVNULL)
        os.close(theirs)
        seen = b"".join(processes.terminal_output(ours))
        self.assertEqual(process.wait(processes.LIMIT_SECONDS), 0)
        self.assertIn(b"loading tales-target-q8_0.gguf [", seen)
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen)


if __name__ == "__main__":
    processes.main()
