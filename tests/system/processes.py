"""Real processes of tandem for the tests that are written in Python."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

SOURCE_DIR = pathlib.Path(os.environ.get(
    "TANDEM_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[2]))
BINARY_DIR = pathlib.Path(os.environ.get("TANDEM_BINARY_DIR",
                                         SOURCE_DIR / "build/release"))
BIN = BINARY_DIR / "bin"
MODELS = SOURCE_DIR / "deploy/models"
TARGET_MODEL = MODELS / "tales-target-q8_0.gguf"
DRAFT_MODEL = MODELS / "tales-draft-q8_0.gguf"

# Far above what any step needs: nothing here measures time.
LIMIT_SECONDS = 120


def tandem(*arguments, environment=None, **options):
    """The finished process of `tandem ARGUMENTS`, its output as bytes."""
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    return subprocess.run(
        [BIN / "tandem", *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=LIMIT_SECONDS, check=False,
        env={**os.environ, **(environment or {})}, **options)


def wait_until(condition, what):
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.05)


def terminal_output(descriptor):
    """What is written to the other side of a pseudo-terminal, piece by piece,
    until that is closed."""
    while True:
        try:
            piece = os.read(descriptor, 4096)
        except OSError:  # the process has closed its side
            return
        if not piece:
            return
        yield piece


def resident_bytes(process):
    """Memory that is the process's alone."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) << 10


def names(role, count):
    return [role + str(number) * (number > 1)
            for number in range(1, count + 1)]


def make_stubs(folder):
    """Python modules of the public protocol, made from proto/ alone."""
    proto = SOURCE_DIR / "proto"
    subprocess.run(
        ["protoc", "-I", proto, f"--python_out={folder}",
         f"--grpc_python_out={folder}", "--plugin=protoc-gen-grpc_python=" +
         shutil.which("grpc_python_plugin"),
         proto / "tandem/v1/types.proto", proto / "tandem/v1/chat.proto",
         proto / "tandem/v1/generation.proto"],
        check=True)


class Cluster:
    """Target workers, draft workers and coordinators in a folder of their own.
    The first of a role has its name, others follow as target2, target3.
    `flags` has further flags by role. `tls` gives the flags of each by its
    name; TLS needs ports, for the names in certificates."""

    def __init__(self, tls=None, targets=1, drafts=1, coordinators=1,
                 flags=None):
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        self.folder = pathlib.Path(self._folder.name)
        self.processes = {}
        self.targets = names("target", targets)
        self.drafts = names("draft", drafts)
        self.coordinators = names("coordinator", coordinators)
        self._has_ports = tls is not None
        self._tls = tls or (lambda name: [])
        self._flags = flags or {}
        try:
            for name in self.targets + self.drafts:
                self.start_worker(name)
            for name in self.coordinators:
                self._start_coordinator(name)
            self.coordinator = self.address("coordinator")
            self.environment = {"TANDEM_COORDINATOR": self.coordinator}
            if not tls:
                self.wait_for_workers(targets, drafts)
        except BaseException:
            self.stop()
            raise

    def worker(self, role, model):
        """A worker's program and its own flags."""
        return ["tandem-worker", "--role", role, "--model", model,
                "--compute-turn", self.folder / "turn"]

    def start_worker(self, name):
        """Also one that has ended, at the address that it had."""
        role = "target" if name in self.targets else "draft"
        model = TARGET_MODEL if role == "target" else DRAFT_MODEL
        listen = "localhost:0" if self._has_ports else (
            f"unix:{self.folder}/{name}")
        self.start(name, *self.worker(role, model), "--listen", listen,
                   *self._flags.get(role, ()), *self._tls(name))

    def _start_coordinator(self, name):
        pools = ["--target", ",".join(map(self.address, self.targets))]
        if self.drafts:
            pools += ["--draft", ",".join(map(self.address, self.drafts))]
        listen = "localhost:0" if self._has_ports else "127.0.0.1:0"
        self.start(name, "tandem-coordinator", *pools, "--listen", listen,
                   *self._flags.get("coordinator", ()), *self._tls(name))

    def start(self, name, program, *arguments):
        # Else those of a process that had this name would be read.
        for file in ("address", "metrics"):
            (self.folder / f"{name}.{file}").unlink(missing_ok=True)
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [BIN / program, *arguments, "--address-file",
                 self.folder / f"{name}.address", "--metrics-listen",
                 "127.0.0.1:0", "--metrics-address-file",
                 self.folder / f"{name}.metrics"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def address(self, name, file="address"):
        path = self.folder / f"{name}.{file}"

        def listening():
            if self.processes[name].poll() is not None:
                raise AssertionError(f"{name} ended: {self.log(name)}")
            return path.exists()

        wait_until(listening, f"{name} listens")
        return path.read_text().strip()

    def metrics(self, name):
        """The process's metrics: value by series, and the text."""
        address = self.address(name, "metrics")
        with urllib.request.urlopen(f"http://{address}/metrics",
                                    timeout=LIMIT_SECONDS) as response:
            text = response.read().decode()
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                values[series] = float(value)
        return values, text

    def wait_for_workers(self, targets, drafts):
        """Until every coordinator has found and paired so many."""
        def found(name):
            shown = self.tandem("models", "--json", "--coordinator",
                                self.address(name))
            models = json.loads(shown.stdout or b'{"models": []}')["models"]
            return [(model["target_workers"], model["draft_workers"])
                    for model in models] == [(targets, drafts)]

        for name in self.coordinators:
            wait_until(lambda name=name: found(name),
                       f"{name} has {targets} targets, {drafts} drafts")

    def wait_for_free_kv(self):
        """Until no worker has KV reserved: turns that were cut give it back
        soon, not at once."""
        for name in self.targets + self.drafts:
            wait_until(lambda name=name: self.metrics(name)[0][
                'tandem_kv_pages{state="reserved"}'] == 0,
                f"{name} has no KV reserved")

    def tandem(self, *arguments, **options):
        return tandem(*arguments, environment=self.environment, **options)

    def stop(self):
        """Ends all; the exit codes by name."""
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        codes = {}
        for name, process in self.processes.items():
            try:
                codes[name] = process.wait(LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        refused = [f"{name}: {line}" for name in codes
                   for line in self.log(name).splitlines()
                   if "sandbox: refused" in line]
        self.processes = {}
        self._folder.cleanup()
        if refused:
            raise AssertionError("\n".join(refused))
        return codes


class ClusterTest(unittest.TestCase):
    """Tests that share one cluster."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()

    @classmethod
    def tearDownClass(cls):
        codes = cls.cluster.stop()
        if any(codes.values()):
            raise AssertionError(f"exit codes on SIGTERM: {codes}")


def main():
    missing = [p for p in ("tandem", "tandem-worker", "tandem-coordinator")
               if not (BIN / p).exists()]
    if missing:
        sys.exit(f"not built in {BIN}: {', '.join(missing)}")
    unittest.main(verbosity=2)
