import unittest

import check
import deploy_check
from sample_tree import SampleTree

METRICS = {"metrics-listen", "insecure-metrics-listen"}
WORKER = {"role", "model", "listen", "threads", "tls-cert", "tls-key",
          "tls-client-ca", "allow-caller", "drain-timeout-ms",
          "log-format"} | METRICS
COORDINATOR = {"listen", "target", "draft", "tls-cert", "tls-key",
               "tls-client-ca", "worker-ca", "worker-cert", "worker-key",
               "drain-timeout-ms", "log-format", "state-dir"} | METRICS
HEALTH = {"service", "tls-ca", "tls-cert", "tls-key"}
FLAGS = {"tandem-worker": WORKER, "tandem-coordinator": COORDINATOR,
         "tandem": set(), "tandem health": HEALTH}


class ManifestsTest(unittest.TestCase):
    """The real manifests, each time with one thing wrong."""

    def setUp(self):
        self.documents = deploy_check.load(check.source_root())

    def get(self, kind, name):
        return next(d for _, d in self.documents if d["kind"] == kind
                    and d["metadata"]["name"] == name)

    def pod(self, kind="StatefulSet", name="tandem-target"):
        return self.get(kind, name)["spec"]["template"]["spec"]

    def container(self, **which):
        return self.pod(**which)["containers"][0]

    def change(self, container, old, new):
        container["args"] = [a.replace(old, new) for a in container["args"]]

    def assert_found(self, part):
        found = deploy_check.manifest_findings(self.documents, FLAGS)
        self.assertTrue(any(part in f for f in found), found)

    def test_as_they_are(self):
        self.assertEqual(
            deploy_check.manifest_findings(self.documents, FLAGS), [])

    def test_unknown_flag(self):
        self.container()["args"].append("--nonsense=1")
        self.assert_found("tandem-worker has no flag --nonsense")

    def test_unknown_flag_of_a_probe(self):
        probe = self.container()["startupProbe"]["exec"]
        probe["command"].append("--nonsense=1")
        self.assert_found("tandem health has no flag --nonsense")

    def test_ports_that_differ(self):
        self.change(self.container(), "0.0.0.0:7071", "0.0.0.0:7099")
        self.assert_found("listens at ['7099', '9090']")
        self.setUp()
        self.container()["ports"][0]["containerPort"] = 7099
        self.assert_found("goes to grpc")
        self.setUp()
        command = self.container()["livenessProbe"]["exec"]["command"]
        command[2] = "localhost:7099"
        self.assert_found("not port 7071")
        self.setUp()
        policy = self.get("NetworkPolicy", "tandem-target")
        policy["spec"]["ingress"][0]["ports"][0]["port"] = 7099
        self.assert_found("opens [7099]")

    def test_probes(self):
        del self.container()["readinessProbe"]
        self.assert_found("has no readinessProbe")
        self.setUp()
        command = self.container()["startupProbe"]["exec"]["command"]
        command[3] = "--service=tandem.ready"
        self.assert_found("startupProbe asks for 'tandem.ready'")
        self.setUp()
        command = self.container()["livenessProbe"]["exec"]["command"]
        command[3:5] = ["--service="]
        self.assert_found("livenessProbe asks for None, not ''")

    def test_addresses(self):
        del self.get("Service", "tandem-draft")["spec"]["clusterIP"]
        self.assert_found("service tandem-draft is not headless")
        self.setUp()
        self.change(self.container(kind="Deployment",
                                   name="tandem-coordinator"),
                    "target.tandem.svc:7071", "target.tandem.svc:7072")
        self.assert_found("--target is")

    def test_autoscaler(self):
        scaler = self.get("HorizontalPodAutoscaler", "tandem-target")
        scaler["spec"]["scaleTargetRef"]["name"] = "other"
        self.assert_found("there is no StatefulSet other")
        self.setUp()
        self.get("HorizontalPodAutoscaler",
                 "tandem-target")["metadata"]["name"] = "other"
        self.assert_found("has no autoscaler")

    def test_selectors(self):
        budget = self.get("PodDisruptionBudget", "tandem-draft")
        budget["spec"]["selector"]["matchLabels"]["app"] = "other"
        self.assert_found("selects no pods")
        self.assert_found("no PodDisruptionBudget is for it")
        self.setUp()
        self.get("Service", "tandem-draft")["spec"]["selector"]["app"] = "x"
        self.assert_found("selects no pods")
        self.setUp()
        policy = self.get("NetworkPolicy", "default-deny")
        policy["spec"]["podSelector"] = {"matchLabels": {"app": "tandem-draft"}}
        self.assert_found("no policy that denies by default")

    def test_security(self):
        self.container()["securityContext"]["readOnlyRootFilesystem"] = False
        self.assert_found("readOnlyRootFilesystem is not True")
        self.setUp()
        self.pod()["securityContext"]["runAsNonRoot"] = False
        self.assert_found("runAsNonRoot is not True")
        self.setUp()
        del self.pod()["automountServiceAccountToken"]
        self.assert_found("service account token")

    def test_files_and_volumes(self):
        self.change(self.container(), "/models/", "/elsewhere/")
        self.assert_found("is on no mount")
        self.setUp()
        del self.pod()["volumes"][1]
        self.assert_found("mounts models")

    def test_callers_of_workers(self):
        container = self.container()
        container["args"].remove("--allow-caller=coordinator")
        self.assert_found("does not start without --allow-caller")

    def test_threads_and_time(self):
        self.container()["args"].append("--threads=8")
        self.assert_found("--threads=8 with 4 processors")
        self.setUp()
        self.pod()["terminationGracePeriodSeconds"] = 30
        self.assert_found("drains longer")

    def test_a_folder_of_state_is_one_pods(self):
        for change in ({"replicas": 2}, {"strategy": {"type": "RollingUpdate"}}):
            self.setUp()
            self.get("Deployment", "tandem-coordinator")["spec"].update(change)
            self.assert_found("two of its pods would use one --state-dir")

    def test_budgets(self):
        for change in ({"maxUnavailable": 2}, {"minAvailable": 2},
                       {"minAvailable": 0}):
            self.setUp()
            spec = self.get("PodDisruptionBudget", "tandem-target")["spec"]
            if "minAvailable" in change:
                del spec["maxUnavailable"]
            spec.update(change)
            self.assert_found("of 2 pods go")

    def test_a_file_that_is_not_listed(self):
        self.documents.append(("extra.yaml", {"kind": "ConfigMap",
                                              "metadata": {"name": "x"}}))
        self.assert_found("extra.yaml")


class CertificatesTest(unittest.TestCase):
    """The real certificates, each time with one thing wrong."""

    def setUp(self):
        root = check.source_root()
        self.documents = deploy_check.load(root)
        self.certificates = deploy_check.load(root, deploy_check.CERTIFICATES)
        self.make_certs = check.read(root, deploy_check.MAKE_CERTS)

    def spec(self, name):
        return next(d["spec"] for _, d in self.certificates
                    if d["kind"] == "Certificate"
                    and d["metadata"]["name"] == name)

    def found(self):
        return deploy_check.certificate_findings(
            self.documents, self.certificates, self.make_certs)

    def assert_found(self, part):
        self.assertTrue(any(part in f for f in self.found()), self.found())

    def test_as_they_are(self):
        self.assertEqual(self.found(), [])

    def test_issuers(self):
        self.spec("tandem-worker")["issuerRef"]["name"] = "other"
        self.assert_found("Certificate tandem-worker: there is no issuer other")

    def test_secrets(self):
        self.spec("tandem-worker")["secretName"] = "other"
        self.assert_found("tandem-target: its certificate None is not for")

    def test_names_of_servers(self):
        self.spec("tandem-worker")["dnsNames"].remove(
            "tandem-draft.tandem.svc")
        self.assert_found("tandem-draft: its certificate tandem-worker is not "
                          "for tandem-draft.tandem.svc")
        self.setUp()
        self.spec("tandem-coordinator")["dnsNames"].remove("localhost")
        self.assert_found("is not for localhost")

    def test_callers(self):
        self.spec("tandem-coordinator")["commonName"] = "other"
        self.assert_found("--allow-caller=coordinator is a name of []")
        self.setUp()
        self.spec("tandem-client")["commonName"] = "coordinator"
        self.assert_found("['tandem-client', 'tandem-coordinator'], not of")
        self.setUp()
        self.make_certs = self.make_certs.replace("issue coordinator", "issue")
        self.assert_found("make-certs makes no coordinator")


class OverlayTest(unittest.TestCase):

    def test_the_overlay_with_keys(self):
        documents = deploy_check.load_overlay(check.source_root(),
                                              "deploy/k8s/keys")
        own = {"keys", "tenant-turns-max", "tenant-sessions-max"}
        flags = {**FLAGS, "tandem-coordinator": COORDINATOR | own}
        self.assertEqual(deploy_check.manifest_findings(documents, flags), [])
        found = deploy_check.manifest_findings(documents, FLAGS)
        self.assertIn("has no flag --keys", "".join(found))

    def test_the_overlay_with_replicas(self):
        root = check.source_root()
        documents = deploy_check.load_overlay(root, "deploy/k8s/replicas")
        own = {"store", "store-password-file", "connection-age-max-seconds",
               "connection-age-grace-seconds"}
        flags = {**FLAGS, "tandem-coordinator": (COORDINATOR | own) -
                 {"state-dir"}}
        self.assertEqual(deploy_check.manifest_findings(documents, flags), [])
        coordinator, = (d for _, d in documents if d["kind"] == "Deployment")
        self.assertEqual(coordinator["spec"]["replicas"], 2)
        container, = coordinator["spec"]["template"]["spec"]["containers"]
        container["volumeMounts"].pop()
        found = deploy_check.manifest_findings(documents, flags)
        self.assertIn("sslrootcert=/etc/tandem/store/ca.crt is on no mount",
                      "".join(found))
        # The base is not changed by it.
        self.assertIn("--state-dir=/var/lib/tandem/state",
                      str(deploy_check.load(root)))

    def test_operations_of_patches(self):
        document = {"a": [{"b": [1]}], "c": 1}
        for kind, path, value in (
                ("test", "/a/0/b/0", 1), ("add", "/a/0/b/-", 2),
                ("replace", "/a/0/b/0", 3), ("add", "/a/0/d", 4),
                ("replace", "/a/0/d", 5), ("remove", "/c", None)):
            deploy_check.apply_operation(
                document, {"op": kind, "path": path, "value": value})
        self.assertEqual(document, {"a": [{"b": [3, 2], "d": 5}]})
        for kind, path, value in (
                ("test", "/a/0/b/0", 1), ("test", "/a/0/b/7", 1),
                ("replace", "/a/0/e", 1), ("replace", "/a/1", 1),
                ("add", "/a/0", 1), ("remove", "/c", None),
                ("move", "/a", None)):
            with self.assertRaises(ValueError):
                deploy_check.apply_operation(
                    document, {"op": kind, "path": path, "value": value})


class DockerfileTest(SampleTree):

    def test_findings(self):
        self.write("tools/packages.txt", "# section: build\n")
        self.write("proto/a.proto")
        self.write("deploy/Dockerfile", "FROM a AS build\nCOPY proto proto\n"
                   "COPY gone gone\nRUN sed '/# section: runtime/'\n"
                   "COPY --from=build /b/tandem \\\n /b/tandem-worker /c/\n")
        self.assert_findings(deploy_check.dockerfile_findings(self.root),
                             "COPY gone", "tandem-coordinator",
                             "tandem-gateway", "numeric user", "section: runtime")


if __name__ == "__main__":
    unittest.main()
