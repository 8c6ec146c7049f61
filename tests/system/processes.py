"""Real processes of tandem for the tests that are written in Python."""

import os
import pathlib
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


class Cluster:
    """A target worker, a draft worker and a coordinator in a folder of their
    own. `tls` gives the flags of each by its name; TLS needs ports, for the
    names in certificates."""

    def __init__(self, tls=None):
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        self.folder = pathlib.Path(self._folder.name)
        self.processes = {}
        self._tls = tls or (lambda name: [])
        try:
            for role, model in (("target", TARGET_MODEL),
                                ("draft", DRAFT_MODEL)):
                listen = "localhost:0" if tls else f"unix:{self.folder}/{role}"
                self.start(role, *self.worker(role, model), "--listen", listen,
                           *self._tls(role))
            self.start("coordinator", "tandem-coordinator",
                       "--target", self.address("target"),
                       "--draft", self.address("draft"),
                       "--listen", "localhost:0" if tls else "127.0.0.1:0",
                       *self._tls("coordinator"))
            self.coordinator = self.address("coordinator")
            self.environment = {"TANDEM_COORDINATOR": self.coordinator}
            if not tls:
                wait_until(self._paired, "the draft worker is paired")
        except BaseException:
            self.stop()
            raise

    def worker(self, role, model):
        """A worker's program and its own flags."""
        return ["tandem-worker", "--role", role, "--model", model,
                "--compute-turn", self.folder / "turn"]

    def start(self, name, program, *arguments):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [BIN / program, *arguments, "--address-file",
                 self.folder / f"{name}.address", "--metrics-listen",
                 "127.0.0.1:0", "--metrics-address-file",
                 self.folder / f"{name}.metrics"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def address(self, name):
        path = self.folder / f"{name}.address"

        def listening():
            if self.processes[name].poll() is not None:
                raise AssertionError(f"{name} ended: {self.log(name)}")
            return path.exists()

        wait_until(listening, f"{name} listens")
        return path.read_text().strip()

    def metrics(self, name):
        """The process's metrics: value by series, and the text."""
        address = (self.folder / f"{name}.metrics").read_text().strip()
        with urllib.request.urlopen(f"http://{address}/metrics",
                                    timeout=LIMIT_SECONDS) as response:
            text = response.read().decode()
        values = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                series, value = line.rsplit(" ", 1)
                values[series] = float(value)
        return values, text

    def _paired(self):
        models = self.tandem("models", "--json")
        return b'"draft_workers":1' in models.stdout

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
        self.processes = {}
        self._folder.cleanup()
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
