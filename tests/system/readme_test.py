"""Runs the commands of README.md, and of the pages that continue it, that are
not run elsewhere, in their order and in a folder that looks like the project's.

`tandem up` serves, at free ports, until the last command has run. Model files
that are nowhere are the demo pair. Where output stands below a command, it is
what the command prints.
"""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import unittest

import processes

sys.path.insert(0, str(processes.SOURCE_DIR / "tests/checks"))
import readme_check  # noqa: E402  (the path comes first)

GRPC = "127.0.0.1:7070"
HTTP = "127.0.0.1:8080"
FREE_PORTS = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]


def commands():
    """(command, output) of those that are run here."""
    root = processes.SOURCE_DIR
    return [(command, output) for command, output in readme_check.shown(root)
            if readme_check.runner(root, command) == "readme_test.py"]


def make_folder(folder):
    """The project's files, programs and, under the names that README.md has,
    its model files."""
    for path in processes.SOURCE_DIR.iterdir():
        if path.name != "build":
            (folder / path.name).symlink_to(path)
    (folder / "build/release").mkdir(parents=True)
    (folder / "build/release/bin").symlink_to(processes.BIN)
    for command, _ in commands():
        words = shlex.split(command)
        for before, word in zip(words, words[1:]):
            if word.endswith(".gguf") and not (folder / word).exists():
                (folder / word).symlink_to(
                    processes.DRAFT_MODEL if before == "--draft"
                    else processes.TARGET_MODEL)


class ReadmeTest(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        make_folder(self.folder)
        self.environment = {**os.environ,
                            "PATH": f"{processes.BIN}:{os.environ['PATH']}",
                            "XDG_STATE_HOME": str(self.folder / "state")}
        self.places = {}  # where README.md's addresses are, once served

    def serve(self, command, output):
        """`tandem up`, to the end of the test."""
        service = subprocess.Popen(
            shlex.split(command) + FREE_PORTS, cwd=self.folder,
            env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(self.stop, service)
        lines = [service.stdout.readline().decode()
                 for _ in output.splitlines()]
        found = re.findall(r"127\.0\.0\.1:\d+", "".join(lines))
        self.assertGreaterEqual(len(found), 2, lines)
        self.places = {GRPC: found[0], HTTP: found[1]}
        self.environment["TANDEM_COORDINATOR"] = found[0]
        self.assertEqual("".join(lines), self.here(output))

    def stop(self, service):
        service.send_signal(signal.SIGINT)
        try:
            code = service.wait(processes.LIMIT_SECONDS)
        finally:
            service.kill()
            service.stdout.close()
        self.assertEqual(code, 0)

    def here(self, text):
        for shown, place in self.places.items():
            text = text.replace(shown, place)
        return text

    def run_command(self, command, typed=""):
        line = self.here(command).replace(" python3 ", f" {sys.executable} ")
        result = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment,
            input=typed.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=False,
            timeout=processes.LIMIT_SECONDS)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    def test_commands(self):
        self.assertTrue(commands())
        for command, output in commands():
            with self.subTest(command=command):
                if command.startswith("tandem up "):
                    self.serve(command, output)
                    continue
                printed = self.run_command(command)
                if command.startswith("curl "):
                    self.assertIn('"choices"', printed)
                elif output:
                    self.assertEqual(printed, output)
        self.check_conversation()

    def check_conversation(self):
        """The chat that README.md shows: a line of what runs, the message, the
        reply, and what depends on the machine."""
        shown = readme_check.blocks(processes.SOURCE_DIR, "text")[0]
        command, message, reply = re.match(
            r"\$ (tandem chat .*)\n\(.*\)\n> (.*)\n(.*\n)", shown).groups()
        self.assertEqual(self.run_command(command, message), reply)

    def test_flags_of_what_is_not_run(self):
        shown = readme_check.flags_shown(processes.SOURCE_DIR)
        self.assertTrue(shown)
        for line in shown:
            with self.subTest(command=line):
                names, _, flags = re.fullmatch(
                    r"(tandem[a-z-]*( [a-z]+)*)(.*)", line).groups()
                usage = self.run_command(f"{names} --help")
                for flag in re.findall(r" (--[a-z-]+)", flags):
                    self.assertRegex(usage, rf"(?m)^  {flag}\b")


if __name__ == "__main__":
    processes.main()
