"""The proxy of deploy/edge as a process of the tests."""

import pathlib
import socket
import subprocess
import tempfile

import grpc

import processes
from turns import pb2_grpc

EDGE = processes.SOURCE_DIR / "deploy/edge/edge"
MAKE_CERTS = processes.SOURCE_DIR / "deploy/k8s/make-certs"


def make_certs(test):
    """A folder of certificates that lasts as long as the class `test`."""
    folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
    test.addClassCleanup(folder.cleanup)
    certs = pathlib.Path(folder.name) / "certs"
    subprocess.run([MAKE_CERTS, certs], check=True, stdout=subprocess.DEVNULL)
    return certs


def run(*arguments):
    """The finished process, where it does not come to serving."""
    return subprocess.run(
        [EDGE, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
        timeout=processes.LIMIT_SECONDS, check=False)


class Process:
    """One of nginx's, of which only the number is known."""

    def __init__(self, pid):
        self.pid = pid


class Edge:
    """Serves at `address` with the coordinator's certificate of `certs`. Where
    `descriptors` is given, each of nginx's processes has no more."""

    def __init__(self, certs, coordinator, *flags, descriptors=None):
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-test.")
        folder = pathlib.Path(self._folder.name)
        self.certs = certs
        self.socket = folder / "run/http.sock"
        self._log = folder / "log"
        limit = [] if descriptors is None else [
            "prlimit", f"--nofile={descriptors}:{descriptors}"]
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.address = f"localhost:{port}"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [*limit, EDGE, "--listen", f"127.0.0.1:{port}", "--coordinator",
                 coordinator, "--cert", certs / "coordinator/tls.crt", "--key",
                 certs / "coordinator/tls.key", "--run", folder / "run",
                 *flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        processes.wait_until(lambda: self._listens(port), "the edge listens")

    def _listens(self, port):
        if self.process.poll() is not None:
            raise AssertionError(f"the edge ended: {self.log()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def log(self):
        return self._log.read_text(errors="replace")

    def processes(self):
        """nginx's master and its workers."""
        found = [self.process]
        for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self.process.pid:
                found.append(Process(int(status.parent.name)))
        return found

    def channel(self, owner=None, **options):
        """To it; with the certificate of `owner` where one is named."""
        read = [(self.certs / owner / file).read_bytes()
                for file in ("tls.key", "tls.crt")] if owner else []
        roots = (self.certs / "client/ca.crt").read_bytes()
        return grpc.secure_channel(
            self.address, grpc.ssl_channel_credentials(roots, *read),
            **options)

    def connect(self, test, owner=None):
        """As turns.connect."""
        channel = self.channel(owner)
        test.addCleanup(channel.close)
        return pb2_grpc.GenerationServiceStub(channel)

    def stop(self):
        self.process.terminate()
        self.process.wait(processes.LIMIT_SECONDS)
        self._folder.cleanup()
