"""What is made of the command tree works where it is used: completion in an
interactive bash, man pages in groff."""

import os
import pathlib
import pty
import select
import shutil
import re
import subprocess
import tempfile
import time
import unittest

import processes

PROGRAMS = ("tandem", "tandem-worker", "tandem-coordinator")


def script(shell):
    result = processes.tandem("completion", shell)
    if result.returncode != 0:
        raise AssertionError(result.stderr.decode())
    return result.stdout.decode()


class Bash:
    """An interactive bash on a terminal of its own, in `folder`."""

    def __init__(self, folder):
        pid, self._terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
                      {"PATH": f"{processes.BIN}:/usr/bin:/bin", "TERM": "dumb",
                       "HOME": str(folder), "PS1": "> ",
                       "INPUTRC": "/dev/null"})
        self._pid = pid
        self._seen = ""

    def send(self, text):
        os.write(self._terminal, text.encode())

    def wait_for(self, text):
        """Until `text` is on the screen; forgets what came before its end."""
        end = time.monotonic() + processes.LIMIT_SECONDS
        while text not in self._seen:
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} in {self._seen!r}")
            if select.select([self._terminal], [], [], 1)[0]:
                self._seen += os.read(self._terminal, 4096).decode()
        self._seen = self._seen[self._seen.index(text) + len(text):]

    def close(self):
        os.close(self._terminal)  # a hangup ends it
        os.waitpid(self._pid, 0)


class CompletionTest(unittest.TestCase):

    def test_bash_completes_a_line(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (pathlib.Path(folder.name) / "my model.gguf").touch()
        bash = Bash(folder.name)
        self.addCleanup(bash.close)
        bash.send("source <(tandem completion bash); echo do''ne\n")
        bash.wait_for("done")
        for typed, completed in (
                ("tandem gen\t", "tandem generate "),
                ("tandem ben\tser\t", "tandem bench serve "),
                ("tandem generate --draft-s\tloo\t",
                 "tandem generate --draft-sources lookup "),
                ("tandem generate --draft-sources=loo\t",
                 "tandem generate --draft-sources=lookup "),
                ("tandem up my\t", "tandem up my\\ model.gguf "),
                ("tandem up --draft my\t",
                 "tandem up --draft my\\ model.gguf ")):
            with self.subTest(typed=typed):
                # The end of the line shows what it has become.
                bash.send(f"{typed}#")
                bash.wait_for(completed + "#")
                bash.send("\x15")  # takes the line away

    def check_syntax(self, shell, *arguments):
        if shutil.which(shell) is None:
            self.skipTest(f"{shell} is not installed")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(script(shell))
            file.flush()
            result = subprocess.run([shell, *arguments, file.name],
                                    stdout=subprocess.PIPE,
                                    stderr=subprocess.STDOUT, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_zsh_reads_its_script(self):
        self.check_syntax("zsh", "-n")

    def test_fish_reads_its_script(self):
        self.check_syntax("fish", "--no-execute")


class ManPageTest(unittest.TestCase):

    def page(self, program):
        result = subprocess.run([processes.BIN / program, "--man"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                check=False)
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        return result.stdout

    def test_groff_has_no_complaint(self):
        for program in PROGRAMS:
            with self.subTest(program=program):
                result = subprocess.run(
                    ["groff", "-man", "-ww", "-Tutf8", "-z"],
                    input=self.page(program), stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, check=False)
                self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_the_text_is_what_the_help_has(self):
        shown = subprocess.run(
            ["groff", "-man", "-Tascii", "-P-c"],
            input=self.page("tandem-worker"), stdout=subprocess.PIPE,
            check=True).stdout.decode()
        # Bold and underlined letters are typed over.
        plain = " ".join(re.sub(".\b", "", shown).split())
        for part in ("tandem-worker - Computes with language models",
                     "0 .. 1024", "TANDEM_THREADS",
                     "tandem-worker --role target --model model.gguf"):
            self.assertIn(part, plain)


if __name__ == "__main__":
    processes.main()
