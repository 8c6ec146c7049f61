import unittest

import check
import compose_check

SERVER = {"listen", "drain-timeout-ms"}
FLAGS = {"tandem": set(),
         "tandem health": {"service"},
         "tandem-worker": SERVER | {"role", "model", "compute-turn"},
         "tandem-coordinator": SERVER | {"target", "draft", "keys", "state-dir"},
         "tandem-gateway": SERVER | {"coordinator"}}


class ComposeTest(unittest.TestCase):
    """The real file, each time with one thing wrong."""

    def setUp(self):
        self.document = compose_check.load(check.source_root())
        self.services = self.document["services"]

    def found(self):
        return compose_check.findings(self.document, FLAGS)

    def assert_found(self, part):
        found = self.found()
        self.assertTrue(any(part in f for f in found), found)
        self.setUp()

    def change(self, name, old, new):
        service = self.services[name]
        service["command"] = [a.replace(old, new) for a in service["command"]]

    def test_as_it_is(self):
        self.assertEqual(self.found(), [])

    def test_owners_of_volumes(self):
        dockerfile = check.read(check.source_root(), "deploy/Dockerfile")
        self.assertEqual(
            compose_check.owner_findings(self.document, dockerfile), [])
        for old, new in (("install -d -o 65532", "install -d -o 1"),
                         ("/var/lib/tandem\n", "/var/lib/other\n")):
            found = compose_check.owner_findings(
                self.document, dockerfile.replace(old, new))
            self.assertIn("makes no /var/lib/tandem", "".join(found))

    def test_flags(self):
        self.services["target"]["command"].append("--nonsense=1")
        self.assert_found("tandem-worker has no flag --nonsense")
        self.services["gateway"]["command"].append("now")
        self.assert_found("gateway: argument now")
        self.services["draft"]["healthcheck"]["test"].append("--nonsense=1")
        self.assert_found("tandem health has no flag --nonsense")

    def test_programs(self):
        del self.services["gateway"]
        self.assert_found("none runs tandem-gateway")
        self.services["draft"]["image"] = "other"
        self.assert_found("more than one")

    def test_containers(self):
        self.services["draft"]["cap_drop"] = []
        self.assert_found("cap_drop is not ['ALL']")
        self.services["draft"]["privileged"] = True
        self.assert_found("privileged is not known")
        del self.services["draft"]["deploy"]
        self.assert_found("draft: no memory limit")
        self.services["draft"]["stop_grace_period"] = "30s"
        self.assert_found("draft: drains longer")

    def test_networks(self):
        for name, old, new in (("gateway", "127.0.0.1:8080", "0.0.0.0:8080"),
                               ("target", "unix:/run/tandem/target.sock",
                                "0.0.0.0:7071")):
            self.change(name, old, new)
            self.assert_found(f"{name}: listens at {new} with")
        self.services["coordinator"]["network_mode"] = "host"
        self.assert_found("with network_mode host")
        self.services["gateway"]["ports"] = ["8080:8080"]
        self.assert_found("ports is not known")

    def test_sockets_and_files(self):
        self.change("draft", "draft.sock", "other.sock")
        self.assert_found("nobody listens at --draft=")
        self.change("target", "/models/", "/elsewhere/")
        self.assert_found("is on no mount")
        del self.document["volumes"]["sockets"]
        self.assert_found("there is no volume sockets")

    def test_health(self):
        test = self.services["target"]["healthcheck"]["test"]
        test[3] = "unix:/run/tandem/draft.sock"
        self.assert_found("target: its healthcheck does not ask unix:")
        self.change("gateway", "8080", "8081")
        self.assert_found("does not ask 127.0.0.1:8081")
        del self.services["coordinator"]["healthcheck"]
        self.assert_found("depends on coordinator, whose health")


class OverlayTest(unittest.TestCase):

    def test_keys(self):
        document = compose_check.load(check.source_root(),
                                      *compose_check.OVERLAYS)
        coordinator = document["services"]["coordinator"]
        self.assertEqual(len(coordinator["volumes"]), 3)
        self.assertEqual(compose_check.findings(document, FLAGS), [])
        coordinator["environment"]["TANDEM_NONSENSE"] = "/nowhere/a"
        found = "".join(compose_check.findings(document, FLAGS))
        self.assertIn("has no flag --nonsense", found)
        self.assertIn("/nowhere/a is on no mount", found)


class SubstituteTest(unittest.TestCase):

    def test_defaults_and_values(self):
        for text, values, expected in (
                ("${A:-b}/c", {}, "b/c"), ("${A:-b}/c", {"A": "d"}, "d/c"),
                ("${A:?names it}", {"A": "d"}, "d"), ("plain", {}, "plain")):
            self.assertEqual(compose_check.substitute(text, values), expected)


if __name__ == "__main__":
    unittest.main()
