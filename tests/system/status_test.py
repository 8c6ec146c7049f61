"""tandem status against real processes, and on a real terminal."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
import unittest

import processes


class Terminal:
    """A process on a terminal of its own, and what it shows there."""

    def __init__(self, test, arguments, rows, columns):
        self.ours, theirs = pty.openpty()
        test.addCleanup(os.close, self.ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ,
                    struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [processes.BIN / "tandem", *arguments], stdin=theirs,
            stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm"})
        test.addCleanup(self.process.wait)
        test.addCleanup(self.process.kill)
        os.close(theirs)
        self.seen = ""

    def read_until(self, condition):
        end = time.monotonic() + processes.LIMIT_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain: {self.seen!r}")
            self.read()

    def read(self):
        """False where the process has closed its side."""
        try:
            more = os.read(self.ours, 4096)
        except OSError:
            return False
        self.seen += more.decode()
        return bool(more)

    def interrupt(self):
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        while self.read():
            pass
        return self.process.wait(processes.LIMIT_SECONDS)

    def screens(self):
        """The lines of each screen that was drawn whole."""
        parts = self.seen.split("\x1b[H")[1:]
        return [part[:part.index("\x1b[J")].replace("\x1b[K", "").split("\r\n")
                for part in parts if "\x1b[J" in part]


class StatusTest(processes.ClusterTest):

    def status(self):
        result = self.cluster.tandem("status", "--json")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def test_counts_what_turns_did(self):
        before = self.status()
        self.assertEqual([worker["state"] for worker in before["workers"]],
                         ["serving", "serving"])
        self.assertEqual([worker["role"] for worker in before["workers"]],
                         ["target", "draft"])
        self.assertEqual(before["workers"][0]["address"],
                         self.cluster.address("target"))
        turn = json.loads(self.cluster.tandem(
            "generate", "Once upon a time", "--max-tokens", "32",
            "--draft-length", "4", "--json").stdout)
        after = self.status()
        self.assertEqual(after["turns"], 0)
        self.assertGreater(after["sessions"], 0)
        for name in ("drafted_tokens", "accepted_tokens"):
            self.assertEqual(after[name] - before[name],
                             turn["speculation"][name])
        self.assertEqual(after["generated_tokens"] - before["generated_tokens"],
                         len(turn["token_ids"]))
        self.assertGreater(after["workers"][0]["kv_tokens"], 0)

    def test_prints_once_where_nobody_watches(self):
        result = self.cluster.tandem("status")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        text = result.stdout.decode()
        self.assertNotIn("\x1b", text)
        self.assertIn("1 target, 1 serving\n", text)
        self.assertIn("1 draft worker, 1 serving\n", text)

    def test_renews_terminals_of_any_size_until_ctrl_c(self):
        for rows, columns in ((40, 160), (24, 40), (6, 20)):
            terminal = Terminal(
                self, ["status", "--coordinator", self.cluster.coordinator],
                rows, columns)
            terminal.read_until(lambda: len(terminal.screens()) >= 3)
            self.assertEqual(terminal.interrupt(), 0)
            for screen in terminal.screens():
                self.assertLessEqual(len(screen), rows)
                for line in screen:
                    self.assertLess(len(line), columns)
                self.assertRegex(screen[0], "^tandem [0-9.]+, up")
            # The last screen stays; the prompt comes below.
            self.assertTrue(terminal.seen.endswith("\x1b[J\r\n"),
                            terminal.seen[-20:])
            escapes = re.findall("\x1b\\[[^A-Za-z]*[A-Za-z]", terminal.seen)
            self.assertEqual(set(escapes), {"\x1b[H", "\x1b[K", "\x1b[J"})


class LostCoordinatorTest(unittest.TestCase):

    def test_the_screen_says_that_nobody_answers_and_goes_on(self):
        cluster = processes.Cluster()
        self.addCleanup(cluster.stop)
        terminal = Terminal(
            self, ["status", "--coordinator", cluster.coordinator], 40, 160)
        terminal.read_until(terminal.screens)
        cluster.processes["coordinator"].kill()
        terminal.read_until(
            lambda: terminal.screens()[-1][0].startswith("no answer for "))
        self.assertIn("1 target, 1 serving", terminal.screens()[-1])
        self.assertEqual(terminal.interrupt(), 0)


if __name__ == "__main__":
    processes.main()
