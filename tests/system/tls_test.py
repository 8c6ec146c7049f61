"""Mutual TLS between all parts, with the certificates of deploy/k8s/make-certs.
"""

import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import processes
import yaml

MAKE_CERTS = processes.SOURCE_DIR / "deploy/k8s/make-certs"
SERVERS = ("coordinator", "target", "draft")
FAILURES = 'tandem_certificate_reload_failures_total{use="server"}'
EXPIRY = 'tandem_certificate_expiry_timestamp_seconds{use="server"}'
# New files are used after 3 s; the rest is for a busy machine.
TAKEN_WITHIN_SECONDS = 3 + 7


def make_certs(*words):
    subprocess.run([MAKE_CERTS, *words], check=True,
                   stdout=subprocess.DEVNULL)


class TlsTest(unittest.TestCase):
    """A cluster under mutual TLS whose target has an admin service."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.certs = folder.name
        make_certs(cls.certs)
        make_certs("client", "operator", cls.certs)
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
        else:
            flags.append("--allow-caller=coordinator")
        if name == "target":
            flags += ["--admin-listen=localhost:0",
                      f"--admin-address-file={cls.certs}/admin",
                      "--admin-allow-caller=operator"]
        return flags

    def client_flags(self, client="client"):
        return self.files(client, tls_cert="tls.crt", tls_key="tls.key",
                          tls_ca="ca.crt")

    def wait_for_ready(self):
        for name in SERVERS:
            result = self.cluster.tandem(
                "health", self.cluster.address(name), "--wait-ms=60000",
                *self.client_flags())
            self.assertEqual(result.stdout, b"SERVING\n",
                             result.stderr.decode() + self.cluster.log(name))

    def sign(self, name, subject, extensions="", days=30):
        """A certificate of the installation that make-certs does not make."""
        folder = pathlib.Path(self.certs, name)
        folder.mkdir()
        shutil.copy(f"{self.certs}/ca.crt", folder)
        (folder / "extensions").write_text(extensions)
        subprocess.run(
            f"openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
            f"-nodes -keyout {folder}/tls.key -subj '{subject}' 2>&- | "
            f"openssl x509 -req -CA {self.certs}/ca.crt -CAkey "
            f"{self.certs}/ca.key -CAcreateserial -days {days} "
            f"-extfile {folder}/extensions -out {folder}/tls.crt 2>&-",
            shell=True, check=True)


class MutualTlsTest(TlsTest):

    def test_a_client_with_a_certificate_gets_text(self):
        self.wait_for_ready()
        result = self.cluster.tandem("generate", "Once", "--max-tokens", "8",
                                     *self.client_flags())
        self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_the_probes_of_the_manifests(self):
        base = processes.SOURCE_DIR / "deploy/k8s/base"
        for name in SERVERS:
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

    def test_a_worker_takes_calls_by_name(self):
        # A client that says it is a coordinator.
        self.cluster.start(
            "impostor", "tandem-coordinator", "--target",
            self.cluster.address("target"), "--listen", "localhost:0",
            *self.files("client", worker_cert="tls.crt", worker_key="tls.key",
                        worker_ca="ca.crt"))
        processes.wait_until(
            lambda: "is not usable" in self.cluster.log("impostor"),
            "the worker is named")
        self.assertIn("this server takes no calls from tandem-client, client: "
                      "its --allow-caller", self.cluster.log("impostor"))

    def test_the_admin_service_takes_calls_by_name(self):
        admin = pathlib.Path(self.certs, "admin").read_text().strip()
        self.wait_for_ready()
        for client, code in (("operator", 0), ("client", 1),
                             ("coordinator", 1)):
            result = self.cluster.tandem("admin", "models", "--admin", admin,
                                         *self.client_flags(client))
            self.assertEqual(result.returncode, code, result.stderr.decode())
            if code:
                self.assertIn(b"its --admin-allow-caller must have a name of "
                              b"the caller's certificate", result.stderr)

    def test_a_worker_without_names_of_callers_does_not_start(self):
        for flags, named in (
                (("--allow-caller", ""), b"--allow-caller"),
                (("--allow-caller=coordinator", "--admin-listen=localhost:0"),
                 b"--admin-allow-caller"),
                ((), b"'*'")):
            result = subprocess.run(
                [processes.BIN / "tandem-worker", "--role=target",
                 f"--model={processes.TARGET_MODEL}", "--listen=localhost:0",
                 *flags, *self.files("worker", tls_cert="tls.crt",
                                     tls_key="tls.key",
                                     tls_client_ca="ca.crt")],
                stderr=subprocess.PIPE, check=False,
                timeout=processes.LIMIT_SECONDS)
            self.assertEqual(result.returncode, 2, result.stderr.decode())
            self.assertEqual(result.stderr.count(b"\n"), 1)
            self.assertIn(named, result.stderr)

    def test_a_client_without_a_name_gets_no_turn(self):
        self.sign("nameless", "/")
        self.wait_for_ready()
        result = self.cluster.tandem("generate", "Once",
                                     *self.client_flags("nameless"))
        self.assertEqual(result.returncode, 1, result.stderr.decode())
        self.assertIn(b"the client's certificate has no name", result.stderr)

    def test_an_expired_certificate_is_named_at_the_start(self):
        self.sign("expired", "/CN=expired", "subjectAltName=DNS:localhost",
                  days=-1)
        result = self.cluster.tandem("models", *self.client_flags("expired"))
        self.assertEqual(result.returncode, 2, result.stderr.decode())
        self.assertIn(b"expired/tls.crt: has expired at ", result.stderr)
        for program in (["tandem-worker", "--role=target",
                         f"--model={processes.TARGET_MODEL}"],
                        ["tandem-coordinator", "--target=localhost:1"]):
            result = subprocess.run(
                [processes.BIN / program[0], *program[1:],
                 "--listen=localhost:0",
                 *self.files("expired", tls_cert="tls.crt",
                             tls_key="tls.key")],
                stderr=subprocess.PIPE, check=False,
                timeout=processes.LIMIT_SECONDS)
            self.assertEqual(result.returncode, 2, result.stderr.decode())
            self.assertEqual(result.stderr.count(b"\n"), 1)
            self.assertIn(b"expired/tls.crt: has expired at ", result.stderr)

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

    def test_what_make_certs_refuses(self):
        for words, why in ((("client", "coordinator", self.certs),
                            b"names a part of tandem"),
                           (("client", "tandem-target", self.certs),
                            b"names a part of tandem"),
                           (("client", "a/b", self.certs), b"a client's name"),
                           (("client", "operator", self.certs),
                            b"is there already"),
                           (("client", "x"), b"client needs NAME and FOLDER"),
                           (("renew", self.certs, "bob"), b"is not there"),
                           (("renew", f"{self.certs}/client"),
                            b"has no ca.key"), ((), b"name a folder")):
            result = subprocess.run([MAKE_CERTS, *words],
                                    stderr=subprocess.PIPE, check=False)
            self.assertEqual(result.returncode, 2, words)
            self.assertIn(why, result.stderr)


class RotationTest(TlsTest):
    """Certificates that change while the servers run."""

    def setUp(self):
        self.wait_for_ready()
        # Its files do not change.
        shutil.copytree(f"{self.certs}/client", f"{self.certs}/user/client")
        self.addCleanup(shutil.rmtree, f"{self.certs}/user")

    def user(self, command, *words):
        return self.cluster.tandem(command, *words,
                                   *self.client_flags("user/client"))

    def shown(self, name):
        """The certificate that a server shows."""
        context = ssl.create_default_context(
            cafile=f"{self.certs}/user/client/ca.crt")
        context.load_cert_chain(f"{self.certs}/user/client/tls.crt",
                                f"{self.certs}/user/client/tls.key")
        context.set_alpn_protocols(["h2"])
        port = int(self.cluster.address(name).rsplit(":", 1)[1])
        with socket.create_connection(("localhost", port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            return tls.getpeercert(binary_form=True)

    def file(self, owner):
        return ssl.PEM_cert_to_DER_cert(
            pathlib.Path(self.certs, owner, "tls.crt").read_text())

    def wait_until_shown(self):
        for name in SERVERS:
            owner = "coordinator" if name == "coordinator" else "worker"
            processes.wait_until(
                lambda name=name, owner=owner:
                self.shown(name) == self.file(owner),
                f"{name} shows the new certificate")

    def failures(self, name):
        return self.cluster.metrics(name)[0][FAILURES]

    def renew(self):
        make_certs("renew", self.certs, "coordinator", "worker")

    def test_no_stream_fails_when_certificates_change(self):
        before = {name: self.shown(name) for name in SERVERS}
        failures = {name: self.failures(name) for name in SERVERS}
        expiry = self.cluster.metrics("coordinator")[0][EXPIRY]
        self.assertGreater(expiry, time.time())
        is_over = threading.Event()
        results = []

        def use():
            while not is_over.is_set():
                results.append(self.user(
                    "generate", "The old king", "--seed=7", "--ignore-eos",
                    "--max-tokens=200"))

        users = [threading.Thread(target=use) for _ in range(2)]
        for user in users:
            user.start()
        try:
            processes.wait_until(lambda: results, "a turn has ended")
            self.renew()
            begin = time.monotonic()
            self.wait_until_shown()
            took = time.monotonic() - begin
            print(f"new certificates are shown after {took:.1f} s")
            ended = len(results)
            processes.wait_until(lambda: len(results) >= ended + 4,
                                 "turns of new connections have ended")
        finally:
            is_over.set()
            for user in users:
                user.join()
        self.assertLess(took, TAKEN_WITHIN_SECONDS)
        for result in results:
            self.assertEqual(result.returncode, 0, result.stderr.decode())
            self.assertEqual(result.stdout, results[0].stdout)
        for name in SERVERS:
            self.assertNotEqual(self.shown(name), before[name])
            self.assertEqual(self.failures(name), failures[name])
            self.assertIn("certificates: new files are used",
                          self.cluster.log(name))

    def test_a_pair_that_does_not_fit_is_not_used(self):
        before = self.shown("coordinator")
        failures = self.failures("coordinator")
        shutil.copy(f"{self.certs}/worker/tls.key",
                    f"{self.certs}/coordinator/tls.key")
        processes.wait_until(
            lambda: self.failures("coordinator") > failures,
            "the failure is counted")
        self.assertEqual(self.failures("coordinator"), failures + 1)
        self.assertIn("those before stay in use", self.cluster.log(
            "coordinator"))
        self.assertIn("is not the private key of the certificate",
                      self.cluster.log("coordinator"))
        self.assertEqual(self.shown("coordinator"), before)
        self.assertEqual(self.user("generate", "Once",
                                   "--max-tokens=8").returncode, 0)
        self.renew()
        self.wait_until_shown()
        self.assertEqual(self.failures("coordinator"), failures + 1)

    def test_sighup_reads_them_again(self):
        for name in SERVERS:
            lines = self.cluster.log(name).count("read again, in use is")
            self.cluster.processes[name].send_signal(signal.SIGHUP)
            processes.wait_until(
                lambda name=name, lines=lines: self.cluster.log(name).count(
                    "read again, in use is") > lines, f"{name} has read them")
        self.assertEqual(self.user("generate", "Once",
                                   "--max-tokens=8").returncode, 0)
        certificate = pathlib.Path(self.certs, "coordinator/tls.crt")
        good = certificate.read_bytes()
        failures = self.failures("coordinator")
        certificate.write_text("no certificate")
        self.cluster.processes["coordinator"].send_signal(signal.SIGHUP)
        processes.wait_until(
            lambda: self.failures("coordinator") > failures,
            "the failure is counted")
        certificate.write_bytes(good)
        self.assertEqual(self.user("models").returncode, 0)


if __name__ == "__main__":
    processes.main()
