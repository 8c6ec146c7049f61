"""The manifests, the certificates and the Dockerfile match each other and the
programs.

Reads deploy/k8s with python3-yaml; asks the built programs for --help. An
overlay is checked as the base with its patches.
"""

import copy
import os
import pathlib
import re
import subprocess
import sys

import yaml

import check

BASE = "deploy/k8s/base"
CERTIFICATES = "deploy/k8s/cert-manager"
MAKE_CERTS = "deploy/k8s/make-certs"
OVERLAYS = ("deploy/k8s/keys", "deploy/k8s/replicas")
DOCKERFILE = "deploy/Dockerfile"
PROGRAMS = ("tandem", "tandem-worker", "tandem-coordinator",
            "tandem-gateway")
WORKLOADS = ("Deployment", "StatefulSet")
HEALTH_OF_PROBE = {"startupProbe": "tandem.started",
                   "readinessProbe": "tandem.ready", "livenessProbe": ""}
# Pod Security Standards, "restricted".
POD_SECURITY = {"runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False,
                      "readOnlyRootFilesystem": True,
                      "capabilities": {"drop": ["ALL"]}}


def load(root, folder=BASE):
    """(file, document) of every manifest."""
    folder = pathlib.Path(root) / folder
    return [(path.name, document) for path in sorted(folder.glob("*.yaml"))
            for document in yaml.safe_load_all(path.read_text()) if document]


def load_overlay(root, folder):
    """`load`, with the patches of an overlay of the base."""
    path = pathlib.Path(root) / folder / "kustomization.yaml"
    overlay = yaml.safe_load(path.read_text())
    if overlay["resources"] != ["../base"]:
        raise ValueError(f"{path}: is no overlay of the base alone")
    documents = copy.deepcopy(load(root))
    for patch in overlay["patches"]:
        target = patch["target"]
        patched, = (entry for entry in documents
                    if entry[1]["kind"] == target["kind"]
                    and entry[1]["metadata"]["name"] == target["name"])
        operations = yaml.safe_load(patch["patch"])
        if isinstance(operations, dict):
            if operations.get("$patch") != "delete":
                raise ValueError(f"{path}: a patch of {target} does not delete")
            documents.remove(patched)
            continue
        for operation in operations:
            apply_operation(patched[1], operation)
    return documents


def apply_operation(document, operation):
    """One of a JSON patch (RFC 6902)."""
    *path, end = operation["path"].lstrip("/").split("/")
    for name in path:
        document = document[int(name) if isinstance(document, list) else name]
    kind = operation["op"]
    if isinstance(document, list):
        if kind == "add" and end == "-":
            document.append(operation["value"])
            return
        end = int(end)
    there = end < len(document) if isinstance(document, list) else (
        end in document)
    if kind == "add" and isinstance(document, dict) and not there or (
            kind == "replace" and there):
        document[end] = operation["value"]
    elif kind == "remove" and there:
        del document[end]
    elif kind != "test" or not there or document[end] != operation["value"]:
        raise ValueError(f"{operation}: does not fit, or is not known here")


def known_flags(binaries):
    """Program -> its long flags; "tandem health" is a program of its own."""
    flags = {}
    for words in ([p] for p in PROGRAMS):
        flags[words[0]] = help_flags(binaries, words)
    flags["tandem health"] = (help_flags(binaries, ["tandem", "health"]) |
                              flags["tandem"])
    return flags


def help_flags(binaries, words):
    shown = subprocess.run(
        [str(pathlib.Path(binaries) / words[0]), *words[1:], "--help"],
        stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()
    return set(re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", shown))


def flag_values(arguments):
    """--name=value arguments as a dictionary; the rest as a list. An empty
    value is a word of its own: the programs take the next word for that of
    --name=, so this has no value here."""
    values, rest = {}, []
    for index, argument in enumerate(arguments):
        match = re.fullmatch(r"--([a-z0-9-]+)=(.+)", argument)
        if match:
            values[match.group(1)] = match.group(2)
        elif arguments[index + 1:index + 2] == [""] and argument[:2] == "--":
            values[argument[2:]] = ""
        elif not argument and arguments[index - 1][:2] == "--":
            pass
        else:
            rest.append(argument)
    return values, rest


class Manifests:
    """Findings about one set of manifests."""

    def __init__(self, documents, flags):
        self.found = []
        self.flags = flags
        self.documents = documents
        self.namespace = self.one("Kustomization").get("namespace", "default")

    def of_kind(self, *kinds):
        return [d for _, d in self.documents if d.get("kind") in kinds]

    def one(self, kind):
        return (self.of_kind(kind) or [{}])[0]

    def add(self, document, what):
        name = document.get("metadata", {}).get("name", "")
        self.found.append(f"{document.get('kind')} {name}: {what}")

    def named(self, kinds, name):
        for document in self.of_kind(*kinds):
            if document["metadata"]["name"] == name:
                return document
        return None

    def run(self):
        self.kustomization()
        for workload in self.of_kind(*WORKLOADS):
            self.workload(workload)
        for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            for document in self.of_kind(kind):
                self.selector(document)
        for service in self.of_kind("Service"):
            self.service(service)
        for scaler in self.of_kind("HorizontalPodAutoscaler"):
            self.autoscaler(scaler)
        self.coverage()
        return self.found

    def kustomization(self):
        listed = set(self.one("Kustomization").get("resources", ()))
        files = {f for f, d in self.documents if d["kind"] != "Kustomization"}
        for name in sorted(listed ^ files):
            self.found.append(f"kustomization.yaml and {name} do not match")

    def pods(self, labels):
        """Workloads whose pods have these labels."""
        return [w for w in self.of_kind(*WORKLOADS)
                if labels.items() <= w["spec"]["template"]["metadata"]
                ["labels"].items()]

    def workload(self, workload):
        spec = workload["spec"]
        template = spec["template"]
        if spec["selector"]["matchLabels"] != template["metadata"]["labels"]:
            self.add(workload, "its selector is not its pods' labels")
        pod = template["spec"]
        if pod.get("automountServiceAccountToken") is not False:
            self.add(workload, "mounts a service account token")
        for key, value in POD_SECURITY.items():
            if pod.get("securityContext", {}).get(key) != value:
                self.add(workload, f"pod securityContext.{key} is not {value}")
        if workload["kind"] == "StatefulSet" and not self.named(
                ("Service",), spec.get("serviceName")):
            self.add(workload, "its serviceName is no service")
        for container in pod["containers"]:
            self.container(workload, pod, container)

    def container(self, workload, pod, container):
        for key, value in CONTAINER_SECURITY.items():
            if container.get("securityContext", {}).get(key) != value:
                self.add(workload, f"securityContext.{key} is not {value}")
        limits = container.get("resources", {}).get("limits", {})
        for key in ("cpu", "memory"):
            if key not in limits:
                self.add(workload, f"no {key} limit")
        program = container["command"][0]
        values, rest = flag_values(container.get("args", ()))
        self.known(workload, program, values, rest)
        self.files(workload, pod, container, values)
        listens = [values[f].rsplit(":", 1)[-1]
                   for f in ("listen", "metrics-listen") if f in values]
        ports = [str(p["containerPort"]) for p in container.get("ports", ())]
        if ports != listens:
            self.add(workload, f"listens at {listens}, its ports are {ports}")
        listen = (listens or [""])[0]
        if "state-dir" in values and (
                workload["spec"]["replicas"] > 1 or
                workload["spec"]["strategy"] != {"type": "Recreate"}):
            self.add(workload, "two of its pods would use one --state-dir")
        if "threads" in values and values["threads"] != str(limits.get("cpu")):
            self.add(workload, f"--threads={values['threads']} with "
                     f"{limits.get('cpu')} processors")
        if (program == "tandem-worker" and "tls-client-ca" in values and
                "allow-caller" not in values):
            self.add(workload, "does not start without --allow-caller")
        drain_s = int(values.get("drain-timeout-ms", 0)) / 1000
        if drain_s >= pod.get("terminationGracePeriodSeconds", 30):
            self.add(workload, "drains longer than its grace period")
        for role in ("target", "draft"):
            if role in values:
                self.addresses(workload, role, values[role])
        for kind, service in HEALTH_OF_PROBE.items():
            self.probe(workload, container.get(kind), kind, service, listen)

    def known(self, workload, program, values, rest):
        flags = self.flags.get(program)
        if flags is None:
            self.add(workload, f"{program} is no program of the image")
            return
        for name in values:
            if name not in flags:
                self.add(workload, f"{program} has no flag --{name}")
        for argument in rest:
            self.add(workload, f"argument {argument}: write --name=value")

    def files(self, workload, pod, container, values):
        """Paths in flags stand under a mount whose volume is there."""
        volumes = {v["name"]: v for v in pod.get("volumes", ())}
        mounts = container.get("volumeMounts", ())
        for mount in mounts:
            if mount["name"] not in volumes:
                self.add(workload, f"mounts {mount['name']}, no volume of it")
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and not self.named(("PersistentVolumeClaim",), claim):
                self.add(workload, f"there is no claim {claim}")
        for name, value in values.items():
            # The address of a store may name files too.
            for path in re.findall(r"(?:^|=)(/[^&]*)", value):
                if not any(path.startswith(m["mountPath"] + "/")
                           for m in mounts):
                    self.add(workload, f"--{name}={value} is on no mount")

    def probe(self, workload, probe, kind, service, port):
        command = (probe or {}).get("exec", {}).get("command")
        if not command:
            self.add(workload, f"has no {kind} that runs a program")
            return
        values, rest = flag_values(command)
        self.known(workload, "tandem health", values, ())
        if rest != ["tandem", "health", f"localhost:{port}"]:
            self.add(workload, f"{kind} asks {rest}, not port {port}")
        if values.get("service") != service:
            self.add(workload, f"{kind} asks for {values.get('service')!r}, "
                     f"not {service!r}")
        for container in workload["spec"]["template"]["spec"]["containers"]:
            self.files(workload, workload["spec"]["template"]["spec"],
                       container, values)

    def addresses(self, workload, role, text):
        """The flag names the pool's headless service."""
        pool = self.named(WORKLOADS, f"tandem-{role}")
        if not pool:
            self.add(workload, f"there is no pool tandem-{role}")
            return
        name = pool["spec"].get("serviceName")
        service = self.named(("Service",), name)
        if not service or service["spec"].get("clusterIP") != "None":
            self.add(workload, f"service {name} is not headless: its name has "
                     "one address, not one for each pod")
        port = pool["spec"]["template"]["spec"]["containers"][0]["ports"][0]
        want = f"dns:///{name}.{self.namespace}.svc:{port['containerPort']}"
        if text != want:
            self.add(workload, f"--{role} is {text}, not {want}")

    def selector(self, document):
        spec = document["spec"]
        labels = spec.get("podSelector", spec.get("selector", {}))
        labels = labels.get("matchLabels", labels)
        everything = document["kind"] == "NetworkPolicy" and not labels
        if not everything and not self.pods(labels):
            self.add(document, f"selects no pods: {labels}")
        if document["kind"] != "NetworkPolicy":
            return
        for rule in spec.get("ingress", ()):
            for workload in self.pods(labels):
                self.policy_ports(document, rule, workload)
        for rule in spec.get("egress", ()):
            for peer in rule["to"]:
                if "namespaceSelector" in peer:
                    continue  # not of these manifests
                peers = peer.get("podSelector", {}).get("matchLabels")
                for workload in self.pods(peers) if peers else ():
                    self.policy_ports(document, rule, workload)
                if peers and not self.pods(peers):
                    self.add(document, f"lets out to no pods: {peers}")

    def policy_ports(self, document, rule, workload):
        pod = workload["spec"]["template"]["spec"]
        theirs = [p["containerPort"] for p in pod["containers"][0]["ports"]]
        ports = [p["port"] for p in rule.get("ports", ())]
        if len(ports) != 1 or ports[0] not in theirs:
            self.add(document, f"a rule opens {ports}, not one of {theirs} of "
                     f"{workload['metadata']['name']}")

    def service(self, service):
        for workload in self.pods(service["spec"]["selector"]):
            pod = workload["spec"]["template"]["spec"]
            ports = {p["name"]: p["containerPort"]
                     for p in pod["containers"][0]["ports"]}
            for port in service["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if ports.get(target) != port["port"]:
                    self.add(service, f"port {port['port']} goes to {target}, "
                             f"the pods have {ports}")

    def autoscaler(self, scaler):
        spec = scaler["spec"]
        target = spec["scaleTargetRef"]
        workload = self.named((target["kind"],), target["name"])
        if not workload:
            self.add(scaler, f"there is no {target['kind']} {target['name']}")
            return
        replicas = workload["spec"]["replicas"]
        if not spec["minReplicas"] <= replicas <= spec["maxReplicas"]:
            self.add(scaler, f"{replicas} replicas are out of its range")

    def coverage(self):
        """Each workload has a budget and a policy, each pool an autoscaler."""
        for workload in self.of_kind(*WORKLOADS):
            labels = workload["spec"]["template"]["metadata"]["labels"]
            for kind in ("PodDisruptionBudget", "NetworkPolicy"):
                selectors = [
                    d["spec"].get("podSelector", d["spec"].get("selector"))
                    for d in self.of_kind(kind)]
                if {"matchLabels": labels} not in selectors:
                    self.add(workload, f"no {kind} is for it")
            self.budget(workload, labels)
            if workload["kind"] == "StatefulSet" and not self.named(
                    ("HorizontalPodAutoscaler",),
                    workload["metadata"]["name"]):
                self.add(workload, "has no autoscaler")
        if not any(not p["spec"]["podSelector"]
                   for p in self.of_kind("NetworkPolicy")):
            self.found.append("there is no policy that denies by default")


    def budget(self, workload, labels):
        """Of several pods one stays, and of any number one may go."""
        replicas = workload["spec"]["replicas"]
        for budget in self.of_kind("PodDisruptionBudget"):
            spec = budget["spec"]
            if spec["selector"] != {"matchLabels": labels}:
                continue
            goes = spec.get("maxUnavailable",
                            replicas - spec.get("minAvailable", 0))
            if not 1 <= goes <= max(1, replicas - 1):
                self.add(budget, f"lets {goes} of {replicas} pods go")


def manifest_findings(documents, flags):
    return Manifests(documents, flags).run()


class Certificates:
    """Findings about the certificates of cert-manager and of make-certs."""

    def __init__(self, manifests, certificates, make_certs):
        self.manifests = Manifests(manifests, {})
        self.specs = {d["metadata"]["name"]: d["spec"]
                      for _, d in certificates if d["kind"] == "Certificate"}
        self.issuers = {d["metadata"]["name"] for _, d in certificates
                        if d["kind"] == "Issuer"}
        self.made = set(re.findall(r"^ +issue (\w+) ", make_certs,
                                   re.MULTILINE))
        self.found = []

    def run(self):
        for name, spec in self.specs.items():
            if spec["issuerRef"]["name"] not in self.issuers:
                self.found.append(f"Certificate {name}: there is no issuer "
                                  f"{spec['issuerRef']['name']}")
        for workload in self.manifests.of_kind(*WORKLOADS):
            self.workload(workload)
        return self.found

    def certificate_of(self, workload):
        """The name of the certificate in the workload's secret, or None."""
        for volume in workload["spec"]["template"]["spec"]["volumes"]:
            for name, spec in self.specs.items():
                if spec["secretName"] == volume.get("secret", {}).get(
                        "secretName"):
                    return name
        return None

    def names(self, certificate):
        spec = self.specs.get(certificate, {})
        return {spec.get("commonName"), *spec.get("dnsNames", ())}

    def workload(self, workload):
        own = self.certificate_of(workload)
        title = workload["metadata"]["name"]
        needed = {"localhost"} | {
            f"{service['metadata']['name']}.{self.manifests.namespace}.svc"
            for service in self.manifests.of_kind("Service")
            if workload in self.manifests.pods(service["spec"]["selector"])}
        for name in sorted(needed - self.names(own)):
            self.found.append(f"{title}: its certificate {own} is not for "
                              f"{name}")
        for container in workload["spec"]["template"]["spec"]["containers"]:
            values, _ = flag_values(container.get("args", ()))
            if "allow-caller" in values:
                self.caller(title, values["allow-caller"])

    def caller(self, title, caller):
        """The coordinator's certificates have the name, and no other has."""
        pool = self.manifests.named(WORKLOADS, "tandem-coordinator")
        having = {name for name in self.specs if caller in self.names(name)}
        if having != {self.certificate_of(pool)}:
            self.found.append(f"{title}: --allow-caller={caller} is a name of "
                              f"{sorted(having)}, not of the coordinator's "
                              "certificate alone")
        if caller not in self.made:
            self.found.append(f"{title}: make-certs makes no {caller}")


def certificate_findings(manifests, certificates, make_certs):
    return Certificates(manifests, certificates, make_certs).run()


def dockerfile_findings(root):
    root = pathlib.Path(root)
    text = check.read(root, DOCKERFILE).replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] != "COPY":
            continue
        if words[1].startswith("--from="):
            names = [os.path.basename(w) for w in words[2:-1]]
            found += [f"{DOCKERFILE}: copies no program {p}"
                      for p in PROGRAMS if p not in names]
            continue
        found += [f"{DOCKERFILE}: COPY {w}: not there" for w in words[1:-1]
                  if not (root / w).exists()]
    users = re.findall(r"^USER (\d+):\d+$", text, re.MULTILINE)
    if not users or users[-1] == "0":
        found.append(f"{DOCKERFILE}: does not end as a numeric user")
    packages = check.read(root, "tools/packages.txt")
    for section in re.findall(r"# section: \w+", text):
        if section not in packages:
            found.append(f"{DOCKERFILE}: tools/packages.txt has no {section}")
    return found


if __name__ == "__main__":
    tree = check.source_root()
    if check.binary_root() is None:
        sys.exit("deploy_check: set TANDEM_BINARY_DIR to a build folder")
    known = known_flags(check.binary_root() / "bin")
    found = manifest_findings(load(tree), known) + dockerfile_findings(tree)
    found += certificate_findings(load(tree), load(tree, CERTIFICATES),
                                  check.read(tree, MAKE_CERTS))
    for overlay in OVERLAYS:
        found += manifest_findings(load_overlay(tree, overlay), known)
    check.finish(found)
