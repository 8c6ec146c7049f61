"""`./tools/demo --serve` starts, answers, and stops without a trace."""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import processes

COMMAND = "./tools/demo --serve"


def processes_of(folder):
    """Ids of the processes whose command line names `folder`."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended
            if os.fsencode(folder) in line:
                found.append(int(entry.name))
    return found


@unittest.skipUnless(
    processes.BINARY_DIR == processes.SOURCE_DIR / "build/release",
    "the demo runs build/release: this is another build")
class DemoTest(unittest.TestCase):

    def serve(self, stop_signal):
        messages = tempfile.TemporaryFile()
        self.addCleanup(messages.close)
        process = subprocess.Popen(
            COMMAND.split(), cwd=processes.SOURCE_DIR,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=messages, start_new_session=True)
        try:
            line = process.stdout.readline().decode()
            match = re.fullmatch(
                r"export TANDEM_COORDINATOR=(127\.0\.0\.1:\d+)\n", line)
            if not match:
                messages.seek(0)
                self.fail(f"{line}: {messages.read().decode()}")
            answer = processes.tandem("generate", "Once", "--max-tokens", "8",
                                      "--coordinator", match.group(1))
            self.assertEqual(answer.returncode, 0, answer.stderr.decode())
            self.assertTrue(answer.stdout.strip())
            work = self.work_folder(process.pid)
            up = processes_of(work)
            self.assertEqual(len(up), 1)
            below = pathlib.Path(f"/proc/{up[0]}/task/{up[0]}/children")
            served = [pathlib.Path(f"/proc/{child}")
                      for child in below.read_text().split()]
            self.assertGreaterEqual(len(served), 3)
            os.kill(process.pid, stop_signal)
            code = process.wait(processes.LIMIT_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdout.close()
        self.assertEqual(processes_of(work), [])
        self.assertEqual([it for it in served if it.exists()], [])
        self.assertFalse(pathlib.Path(work).exists())
        return code

    def work_folder(self, pid):
        """The demo's folder, by the command line of tandem up."""
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        for child in children.read_text().split():
            line = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
            match = re.search(rb"[^\0]*/build/tandem-demo\.[^/\0]+", line)
            if match:
                return match.group().decode()
        raise AssertionError("the demo has no children")

    def tell(self, *arguments):
        return subprocess.run(
            ["./tools/demo", *arguments], cwd=processes.SOURCE_DIR,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=processes.LIMIT_SECONDS,
            check=False)

    def test_tells_from_the_given_prompt_or_its_own(self):
        for arguments, beginning in (
                (("--max-tokens", "4"), b"Once upon a time"),
                (("The king", "--max-tokens", "4"), b"The king"),
                (("--max-tokens", "4", "The queen"), b"The queen")):
            result = self.tell(*arguments)
            self.assertEqual(result.returncode, 0, result.stderr.decode())
            self.assertTrue(result.stdout.startswith(beginning), result.stdout)
            self.assertIn(b"drafted tokens accepted", result.stderr)

    def test_without_arguments_it_measures(self):
        result = self.tell()
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertIn(b"drafted tokens accepted", result.stderr)
        self.assertRegex(
            result.stdout.decode(),
            r"without drafts +\d+\.\d +1\.00\n"
            r"with drafts +\d+\.\d +[1-9]\.\d\d\n"
            r"the same text both times\n$")

    def test_wrong_arguments_are_named_as_the_user_wrote_them(self):
        for arguments, part in (
                (("The king", "--max-tokns", "5"),
                 'there is no flag "--max-tokns"; did you mean --max-tokens?'),
                (("a", "b"), '"b" is one argument too many')):
            result = self.tell(*arguments)
            self.assertEqual(result.returncode, 2)
            self.assertIn(part, result.stderr.decode())
            self.assertNotIn("Once upon", result.stderr.decode())
            self.assertEqual(result.stdout, b"")

    def test_interrupt_stops_everything(self):
        self.assertEqual(self.serve(signal.SIGINT), 130)

    def test_termination_stops_everything(self):
        self.assertEqual(self.serve(signal.SIGTERM), 143)

    def test_interrupt_of_a_story(self):
        # As a terminal does it: the whole group gets the signal.
        process = subprocess.Popen(
            ["./tools/demo", "Once", "--max-tokens", "1000", "--ignore-eos"],
            cwd=processes.SOURCE_DIR, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True)
        story = process.stdout.read(6)
        work = self.work_folder(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 130)
        self.assertTrue((story + rest).startswith(b"Once"))
        self.assertEqual(processes_of(work), [])
        self.assertFalse(pathlib.Path(work).exists())

    def test_help(self):
        result = subprocess.run(
            [processes.SOURCE_DIR / "tools/demo", "--help"],
            stdout=subprocess.PIPE, check=True)
        self.assertIn(b"--serve", result.stdout)


if __name__ == "__main__":
    processes.main()
