"""Mutual TLS between all parts, with the certificates of deploy/k8s/make-certs.
"""

import subprocess
import tempfile
import unittest

import processes
import yaml

MAKE_CERTS = processes.SOURCE_DIR / "deploy/k8s/make-certs"


class MutualTlsTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certs = folder.name
        subprocess.run([MAKE_CERTS, cls.certs], check=True,
                       stdout=subprocess.DEVNULL)
        cls.cluster = processes.Cluster(tls=cls.server_flags)
        cls.addClassCleanup(cls.cluster.stop)

    @classmethod
    def files(cls, owner, **flags):
        return [f"--{flag.replace('_', '-')}={cls.certs}/{owner}/{file}"
                for flag, file in flags.items()]

    @classmethod
    def server_flags(cls, name):
        owner = "coordinator" if name == "coordinator" else "worker"
        flags = cls.files(owner, tls_cert="tls.crt", tls_key="tls.key",
                          tls_client_ca="ca.crt")
        if name == "coordinator":
            flags += cls.files(owner, worker_cert="tls.crt",
                               worker_key="tls.key", worker_ca="ca.crt")
        return flags

    def client_flags(self):
        return self.files("client", tls_cert="tls.crt", tls_key="tls.key",
                          tls_ca="ca.crt")

    def test_a_client_with_a_certificate_gets_text(self):
        for name in ("coordinator", "target", "draft"):
            result = self.cluster.tandem(
                "health", self.cluster.address(name), "--wait-ms=60000",
                *self.client_flags())
            self.assertEqual(result.stdout, b"SERVING\n",
                             result.stderr.decode() + self.cluster.log(name))
        result = self.cluster.tandem("generate", "Once", "--max-tokens", "8",
                                     *self.client_flags())
        self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_the_probes_of_the_manifests(self):
        base = processes.SOURCE_DIR / "deploy/k8s/base"
        for name in ("coordinator", "target", "draft"):
            documents = yaml.safe_load_all(
                (base / f"{name}.yaml").read_text())
            pod, = (document["spec"]["template"]["spec"]
                    for document in documents
                    if "template" in document.get("spec", {}))
            owner = "coordinator" if name == "coordinator" else "worker"
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                program, *words = pod["containers"][0][probe]["exec"][
                    "command"]
                self.assertEqual(program, "tandem")
                words = [word.replace("/etc/tandem/tls",
                                      f"{self.certs}/{owner}")
                         for word in words]
                words[1] = self.cluster.address(name)
                result = self.cluster.tandem(*words, "--wait-ms=60000")
                self.assertEqual(result.stdout, b"SERVING\n",
                                 f"{name} {probe}: {result.stderr.decode()}")

    def test_others_do_not(self):
        for flags, why in (
                ((), b"the server speaks TLS and this side does not: give "
                 b"--tls-ca"),
                (self.files("client", tls_ca="ca.crt"),
                 b"the server asks for a client's certificate")):
            result = self.cluster.tandem("models", *flags)
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"cannot reach the coordinator", result.stderr)
            self.assertIn(why, result.stderr)

    def test_a_coordinators_log_says_what_the_handshake_said(self):
        self.cluster.start(
            "careless", "tandem-coordinator", "--target",
            self.cluster.address("target"), "--listen", "localhost:0",
            *self.files("worker", worker_ca="ca.crt"))
        processes.wait_until(
            lambda: "is not usable" in self.cluster.log("careless"),
            "the worker is named")
        self.assertIn("the server asks for a client's certificate",
                      self.cluster.log("careless"))
        self.assertIn("give --worker-cert and --worker-key",
                      self.cluster.log("careless"))

    def test_wrong_files_are_wrong_usage(self):
        result = self.cluster.tandem(
            "models", f"--tls-ca={self.certs}/client/tls.key")
        self.assertEqual(result.returncode, 2, result.stderr.decode())
        self.assertIn(b"tls.key", result.stderr)

    def test_certificates_are_not_overwritten(self):
        result = subprocess.run([MAKE_CERTS, self.certs],
                                stderr=subprocess.PIPE, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"is there already", result.stderr)


if __name__ == "__main__":
    processes.main()
