"""The servers' sandbox, on real processes: what they have given up, and that
they work with it. Every other system test runs within it too."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import processes

LIMITED = "sandbox: files and system calls are limited"
NET_BIND_SERVICE = 1 << 10


def status(process):
    """/proc/PID/status by name."""
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))


class SandboxTest(unittest.TestCase):

    def start(self, flags):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.admin = f"unix:{self.folder.name}/admin"
        self.cluster = processes.Cluster(drafts=0, flags={
            "target": ["--model-folder", processes.MODELS, "--admin-listen",
                       self.admin, *flags],
            "coordinator": flags})
        self.addCleanup(self.cluster.stop)
        for name in ("target", "coordinator"):
            log = self.cluster.log(name)
            if "built with a sanitizer" in log:
                self.skipTest("a sanitizer turns the sandbox off")
            if "sandbox: incomplete" in log:
                self.skipTest(log)

    def test_what_is_given_up(self):
        self.start([])
        for name in ("target", "coordinator"):
            self.assertIn(LIMITED, self.cluster.log(name))
            shown = status(self.cluster.processes[name])
            self.assertEqual(shown["NoNewPrivs"], "1", name)
            self.assertEqual(shown["Seccomp"], "2", name)
            self.assertEqual(int(shown["CapPrm"], 16) & ~NET_BIND_SERVICE, 0)
            self.assertEqual(int(shown["CapEff"], 16) & ~NET_BIND_SERVICE, 0)
            limits = pathlib.Path(
                f"/proc/{self.cluster.processes[name].pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+0\s+0\s")

    def test_models_are_loaded_and_turns_run_within_it(self):
        self.start(["--sandbox", "report"])
        load = processes.tandem("admin", "load", processes.DRAFT_MODEL.name,
                                "--model-id", "other", "--admin", self.admin)
        self.assertEqual(load.returncode, 0, load.stderr)
        text = self.cluster.tandem("generate", "Once", "--max-tokens", "4",
                                   "--model", "tales-target-q8_0")
        self.assertEqual(text.returncode, 0, text.stderr)
        for name in ("target", "coordinator"):
            self.cluster.metrics(name)
            self.assertNotIn("refused system call", self.cluster.log(name))

    @unittest.skipIf(os.geteuid() != 0, "for root alone")
    def test_root_hears_why_it_can_not_read_a_file(self):
        with tempfile.NamedTemporaryFile(suffix=".gguf") as model:
            os.fchown(model.fileno(), 65534, 65534)
            for sandbox, why in (("on", b"; with --sandbox on, root too"),
                                 ("off", b"")):
                ended = subprocess.run(
                    [processes.BIN / "tandem-worker", "--role", "target",
                     "--model", model.name, "--listen", "127.0.0.1:0",
                     "--sandbox", sandbox],
                    stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=processes.LIMIT_SECONDS, check=False)
                if b"built with a sanitizer" in ended.stderr:
                    self.skipTest("a sanitizer turns the sandbox off")
                self.assertEqual(ended.returncode, 2)
                self.assertIn(why, ended.stderr)
                self.assertEqual(b"Permission denied" in ended.stderr,
                                 sandbox == "on", ended.stderr)

    def test_it_can_be_turned_off(self):
        self.start(["--sandbox", "off", "--core-dumps"])
        for name in ("target", "coordinator"):
            self.assertIn("sandbox: off, by --sandbox", self.cluster.log(name))
            self.assertEqual(
                status(self.cluster.processes[name])["Seccomp"],
                pathlib.Path("/proc/self/status").read_text().split(
                    "Seccomp:\t")[1][0], name)


if __name__ == "__main__":
    processes.main()
