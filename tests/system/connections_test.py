"""Connections as users have them: slow links, a proxy in the environment, two
servers at one address, and processes that end beside gRPC's threads."""

import concurrent.futures
import subprocess
import tempfile
import time
import unittest

from fault_proxy import FaultProxy
import processes

ONE_WAY_MS = 150
# One process of many that end at once. By hand: 4,000.
ENDS = 60


class SlowLinkTest(processes.ClusterTest):

    def test_a_client_on_a_slow_link(self):
        with FaultProxy(self.cluster.coordinator,
                        delay_ms=ONE_WAY_MS) as link:
            health = processes.tandem("health", link.address)
            self.assertEqual(health.returncode, 0, health.stderr.decode())
            text = processes.tandem("generate", "Once", "--max-tokens=8",
                                    "--coordinator", link.address)
            self.assertEqual(text.returncode, 0, text.stderr.decode())

    def test_a_coordinator_on_a_slow_link(self):
        self.cluster.start("far", "tandem-worker", "--role", "target",
                           "--model", processes.TARGET_MODEL, "--listen",
                           "127.0.0.1:0")
        far = self.cluster.address("far")
        with FaultProxy(far, delay_ms=ONE_WAY_MS) as link:
            ready = processes.tandem("health", far, "--wait-ms=60000")
            self.assertEqual(ready.returncode, 0, ready.stderr.decode())
            begin = time.monotonic()
            self.cluster.start("near", "tandem-coordinator", "--target",
                               link.address, "--listen", "127.0.0.1:0")
            near = self.cluster.address("near")
            ready = processes.tandem("health", near, "--wait-ms=60000")
            self.assertEqual(ready.returncode, 0, self.cluster.log("near"))
            took = time.monotonic() - begin
            text = processes.tandem("generate", "Once", "--max-tokens=8",
                                    "--coordinator", near)
            self.assertEqual(text.returncode, 0, text.stderr.decode())
            self.assertNotIn("is not usable", self.cluster.log("near"),
                             f"usable at the first try ({took:.1f} s)")

    def test_a_proxy_in_the_environment_is_nobodys_business(self):
        environment = {name: "http://127.0.0.1:1"
                       for name in ("http_proxy", "https_proxy", "grpc_proxy")}
        for arguments in (("health", self.cluster.coordinator),
                          ("generate", "Once", "--max-tokens=2",
                           "--coordinator", self.cluster.coordinator)):
            result = processes.tandem(*arguments, environment=environment)
            self.assertEqual(result.returncode, 0, result.stderr.decode())

    def second(self, program, *arguments):
        return subprocess.run([processes.BIN / program, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=processes.LIMIT_SECONDS, check=False)

    def test_a_second_server_is_refused_in_one_line(self):
        taken = (self.cluster.coordinator, self.cluster.address("target"))
        for address in taken:
            for program, *rest in (
                    ("tandem-coordinator", "--target", "127.0.0.1:1"),
                    ("tandem-worker", "--role", "target", "--model",
                     processes.TARGET_MODEL)):
                result = self.second(program, *rest, "--listen", address)
                self.assertEqual(result.returncode, 2)
                self.assertEqual(
                    result.stderr.decode(),
                    f"{program}: --listen {address}: is in use: another "
                    "server listens there; stop it, or choose another "
                    "address\n")
        for address in taken:
            result = processes.tandem("health", address)
            self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_errors_are_one_line_without_grpcs_own(self):
        for arguments in (("health", "127.0.0.1:1"),
                          ("models", "--coordinator", "unix:/nonexistent"),
                          ("models", "--tls-ca=/nonexistent")):
            result = processes.tandem(*arguments)
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(result.stderr.count(b"\n"), 1,
                             result.stderr.decode())
            self.assertTrue(result.stderr.startswith(b"tandem: "))


class EndTest(unittest.TestCase):

    def test_many_processes_end_well(self):
        with tempfile.TemporaryDirectory() as folder:
            certs = f"{folder}/certs"
            subprocess.run([processes.SOURCE_DIR / "deploy/k8s/make-certs",
                            certs], check=True, stdout=subprocess.DEVNULL)

            def flags(owner):
                return [f"--tls-cert={certs}/{owner}/tls.crt",
                        f"--tls-key={certs}/{owner}/tls.key"]

            cluster = processes.Cluster(tls=lambda name: flags("worker"),
                                        drafts=0)
            self.addCleanup(cluster.stop)
            address = cluster.address("target")

            def check(_):
                return processes.tandem(
                    "health", address, f"--tls-ca={certs}/client/ca.crt",
                    "--service", "", "--wait-ms=30000")

            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                for result in pool.map(check, range(ENDS)):
                    self.assertEqual(result.returncode, 0,
                                     result.stderr.decode())


if __name__ == "__main__":
    processes.main()
