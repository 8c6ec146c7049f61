"""API keys, with real processes: who is denied, and keys that change while
clients are served."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import processes

NOT_THERE = (b"the service says: the API key is missing, unknown or revoked: "
             b"send a valid one as \"authorization: Bearer KEY\"; --key-file "
             b"names the file with your key\n")


class Keys:
    """A key file, and a file for each key, in a folder of their own."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-keys.")
        self.folder = pathlib.Path(self._folder.name)
        self.path = self.folder / "keys.json"
        self.ids = {}

    def command(self, *arguments):
        result = processes.tandem("keys", *arguments, "--keys", self.path)
        if result.returncode != 0:
            raise AssertionError(result.stderr.decode())
        return result.stdout.decode()

    def new(self, name, tenant, *flags):
        """The file of a new key of `tenant`, known as `name` from here on."""
        key = self.command("new", tenant, *flags)
        listed = json.loads(self.command("list", "--json"))["keys"]
        self.ids[name] = [entry["id"] for entry in listed
                          if entry["tenant"] == tenant][-1]
        return self.write(name, key)

    def write(self, name, key):
        file = self.folder / name
        descriptor = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(key)
        return file

    def file(self, name):
        return self.folder / name

    def expire(self, name):
        """As if the key's time had come."""
        content = json.loads(self.path.read_text())
        for tenant in content["tenants"]:
            for key in tenant["keys"]:
                if key["id"] == self.ids[name]:
                    key["expires"] = "2026-01-01T00:00:00Z"
        beside = self.folder / "keys.json.new"
        beside.write_text(json.dumps(content))
        os.replace(beside, self.path)

    def cleanup(self):
        self._folder.cleanup()


class KeyedCluster(processes.Cluster):
    """A cluster that is asked with a key where the test names none."""

    def __init__(self, keys, name, **options):
        self._key_file = keys.file(name)
        super().__init__(**options)

    def tandem(self, *arguments, **options):
        environment = {**self.environment, "TANDEM_KEY_FILE": self._key_file}
        return processes.tandem(*arguments, environment=environment, **options)


class KeysTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.keys = Keys()
        cls.addClassCleanup(cls.keys.cleanup)
        cls.keys.new("alice", "alice")
        cls.keys.new("bob", "bob", "--expires", "90d")
        cls.keys.new("operator", "operator", "--scope", "admin")
        cls.admin = f"unix:{cls.keys.folder}/admin"
        cls.cluster = KeyedCluster(cls.keys, "alice", flags={
            "coordinator": ["--keys", cls.keys.path],
            "target": ["--keys", cls.keys.path, "--admin-listen", cls.admin]})
        cls.addClassCleanup(cls.cluster.stop)

    def ask(self, key_file, *arguments):
        flags = ["--key-file", key_file] if key_file else []
        return processes.tandem(*arguments, *flags,
                                environment=self.cluster.environment)

    def generate(self, key_file, *arguments):
        return self.ask(key_file, "generate", "Once", "--max-tokens", "4",
                        "--json", *arguments)

    def wait_until_denied(self, key_file):
        """The servers look at the file each second."""
        processes.wait_until(
            lambda: self.ask(key_file, "models").returncode != 0,
            "the key is denied")

    def assert_denied(self, result, message):
        self.assertEqual(result.returncode, 1, result.stderr.decode())
        self.assertEqual(result.stdout, b"")
        self.assertEqual(result.stderr, b"tandem: " + message)

    def test_keys_that_are_not_there_get_one_answer(self):
        revoked = self.keys.new("revoked", "carol")
        processes.wait_until(
            lambda: self.ask(revoked, "models").returncode == 0,
            "the new key is known")
        self.keys.command("revoke", self.keys.ids["revoked"])
        self.wait_until_denied(revoked)
        admin = ("admin", "models", "--admin", self.admin)
        processes.wait_until(
            lambda: b"unknown" in self.ask(revoked, *admin).stderr,
            "the worker has seen it too")
        wrong = self.keys.write("wrong", "tandem_" + 43 * "A")
        for key_file in (None, wrong, revoked):
            self.assert_denied(self.generate(key_file), NOT_THERE)
            self.assert_denied(self.ask(key_file, "models"), NOT_THERE)
            self.assert_denied(self.ask(key_file, *admin), NOT_THERE)

    def test_an_expired_key_is_called_so(self):
        late = self.keys.new("late", "late")
        self.keys.expire("late")
        processes.wait_until(
            lambda: b"expired" in self.ask(late, "models").stderr,
            "the key has expired")
        self.assert_denied(
            self.generate(late),
            b"the service says: the API key has expired at "
            b"2026-01-01T00:00:00Z: ask for a new one; --key-file names the "
            b"file with your key\n")

    def test_a_key_of_another_scope(self):
        lacks = (b"the service says: the API key lacks the scope \"%s\", which "
                 b"this call needs; --key-file names the file with your key\n")
        operator = self.keys.file("operator")
        models = ("admin", "models", "--admin", self.admin)
        self.assert_denied(self.generate(operator), lacks % b"generate")
        self.assert_denied(self.ask(self.keys.file("alice"), *models),
                           lacks % b"admin")
        self.assertEqual(self.ask(operator, *models).returncode, 0)

    def test_another_tenants_session(self):
        result = self.generate(self.keys.file("alice"))
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        session = json.loads(result.stdout)["session_id"]
        theirs = self.generate(self.keys.file("bob"), "--session", session)
        none = self.generate(self.keys.file("bob"), "--session", 32 * "0")
        self.assertEqual(none.returncode, 1)
        self.assertEqual(theirs.returncode, none.returncode)
        self.assertEqual(theirs.stderr.replace(session.encode(), 32 * b"0"),
                         none.stderr)
        result = self.generate(self.keys.file("alice"), "--session", session)
        self.assertEqual(result.returncode, 0, result.stderr.decode())

    def test_probes_need_no_key(self):
        for server in ("coordinator", "target", "draft"):
            for name in ("", "tandem.started", "tandem.ready"):
                result = self.ask(None, "health", self.cluster.address(server),
                                  "--service", name)
                self.assertEqual(result.stdout, b"SERVING\n",
                                 result.stderr.decode())
        # Whether there is a model of some name is for those with a key.
        coordinator = self.cluster.address("coordinator")
        asked = ("health", coordinator, "--service", "tales")
        self.assertIn(b"the API key is missing", self.ask(None, *asked).stderr)
        self.assertIn(b"has no health service",
                      self.ask(self.keys.file("bob"), *asked).stderr)

    def load(self, key_file, seconds):
        return subprocess.Popen(
            [processes.BIN / "tandem", "bench", "serve", "--sessions", "4",
             "--turns", "2", "--duration", str(seconds), "--prompt-tokens", "8",
             "--output-tokens", "8", "--json", "--key-file", key_file],
            env={**os.environ, **self.cluster.environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def assert_no_failed_turn(self, load):
        out, err = load.communicate(timeout=processes.LIMIT_SECONDS)
        self.assertEqual(load.returncode, 0, err.decode())
        figures = json.loads(out)
        self.assertEqual(figures["turns"]["failed"], 0, figures["errors"])
        self.assertGreater(figures["turns"]["ended"], 0)

    def test_keys_are_changed_under_load(self):
        old = self.keys.new("old", "dora")
        processes.wait_until(lambda: self.ask(old, "models").returncode == 0,
                             "the old key is known")
        first = self.load(old, 4)
        new = self.keys.new("new", "dora")
        processes.wait_until(lambda: self.ask(new, "models").returncode == 0,
                             "the new key is known")
        second = self.load(new, 6)
        self.assert_no_failed_turn(first)
        self.keys.command("revoke", self.keys.ids["old"])
        self.wait_until_denied(old)
        self.assert_no_failed_turn(second)
        self.assertEqual(self.generate(new).returncode, 0)

    def test_a_bad_file_leaves_the_keys_as_they_were(self):
        good = self.keys.path.read_bytes()
        self.keys.path.write_text("{")
        processes.wait_until(
            lambda: "the keys of before stay in use" in self.cluster.log(
                "coordinator"), "the bad file is logged")
        self.assertEqual(self.generate(self.keys.file("alice")).returncode, 0)
        self.keys.path.write_bytes(good)

    def test_no_key_is_in_a_log(self):
        self.generate(self.keys.file("alice"))
        self.generate(self.keys.write("odd", "tandem_" + 43 * "Z"))
        for server in ("coordinator", "target"):
            self.assertNotIn("tandem_", self.cluster.log(server))

    def test_keys_never_go_over_a_network_in_plain_text(self):
        result = subprocess.run(
            [processes.BIN / "tandem-coordinator", "--target", "unix:none",
             "--listen", "0.0.0.0:0", "--insecure-listen", "--keys",
             self.keys.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=processes.LIMIT_SECONDS, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"keys would cross the network in plain text",
                      result.stderr)
        result = self.ask(self.keys.file("alice"), "models", "--coordinator",
                          "192.0.2.1:7070")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"in plain text; give --tls-ca", result.stderr)

    def test_the_python_client_takes_a_key(self):
        with tempfile.TemporaryDirectory() as stubs:
            processes.make_stubs(stubs)
            result = subprocess.run(
                [sys.executable,
                 processes.SOURCE_DIR / "tools/example_client.py", "Once"],
                env={**os.environ, **self.cluster.environment,
                     "PYTHONPATH": stubs,
                     "TANDEM_KEY_FILE": str(self.keys.file("alice"))},
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                timeout=processes.LIMIT_SECONDS, check=False)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertGreater(len(result.stdout), 10)


if __name__ == "__main__":
    processes.main()
