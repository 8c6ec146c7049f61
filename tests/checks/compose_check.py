"""deploy/compose.yaml and what is laid over it fit the programs and each other.

Reads them with python3-yaml; asks the built programs for --help. Docker itself
is not asked.
"""

import re
import sys

import yaml

import check
import deploy_check

COMPOSE = "deploy/compose.yaml"
OVERLAYS = ("deploy/compose.keys.yaml",)
# What a container of any service has.
CONTAINER = {"read_only": True, "cap_drop": ["ALL"],
             "security_opt": ["no-new-privileges:true"]}
KEYS = {"image", "build", "network_mode", "restart", "stop_grace_period",
        "command", "volumes", "depends_on", "healthcheck", "environment",
        "deploy", *CONTAINER}
UNITS_S = {"s": 1, "m": 60}
# The default of --drain-timeout-ms.
DRAIN_S = 30


def load(root, *overlays):
    """The services file with others laid over it, as `docker compose -f` does:
    maps and lists of volumes are joined."""
    document = yaml.safe_load(check.read(root, COMPOSE))
    for path in overlays:
        overlay = yaml.safe_load(check.read(root, path))
        for name, more in overlay["services"].items():
            service = document["services"].setdefault(name, {})
            for key, value in more.items():
                if key == "volumes":
                    service[key] = service.get(key, []) + value
                elif isinstance(value, dict):
                    service[key] = {**service.get(key, {}), **value}
                else:
                    service[key] = value
    return document


def substitute(text, values=None):
    """`text` with ${NAME:-default} and ${NAME:?message} filled in."""
    values = values or {}
    return re.sub(
        r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}",
        lambda match: values.get(match[1], match[2] or match[1]), text)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * UNITS_S[unit]


class Compose:
    """Findings about one composed document."""

    def __init__(self, document, flags):
        self.services = document["services"]
        self.volumes = document.get("volumes", {})
        self.flags = flags
        self.found = []

    def add(self, name, what):
        self.found.append(f"{COMPOSE}: {name}: {what}")

    def run(self):
        images = {s.get("image") for s in self.services.values()}
        if len(images) != 1:
            self.add("image", f"more than one: {images}")
        programs = {s["command"][0] for s in self.services.values()}
        for program in set(deploy_check.PROGRAMS) - {"tandem"} - programs:
            self.add("services", f"none runs {program}")
        for name, service in self.services.items():
            self.service(name, service)
        return self.found

    def service(self, name, service):
        for key in sorted(set(service) - KEYS):
            self.add(name, f"{key} is not known to this check")
        for key, value in CONTAINER.items():
            if service.get(key) != value:
                self.add(name, f"{key} is not {value}")
        limits = service.get("deploy", {}).get("resources", {}).get("limits",
                                                                    {})
        if not re.fullmatch(r"\d+[mg]", substitute(limits.get("memory", ""))):
            self.add(name, "no memory limit")
        program, *arguments = service["command"]
        values, rest = deploy_check.flag_values(
            [substitute(argument) for argument in arguments])
        for argument in rest:
            self.add(name, f"argument {argument}: write --name=value")
        self.known(name, program, values)
        for variable in service.get("environment", {}):
            flag = variable.removeprefix("TANDEM_").lower().replace("_", "-")
            self.known(name, program, [flag])
        drain_s = int(values.get("drain-timeout-ms", DRAIN_S * 1000)) / 1000
        if seconds(service.get("stop_grace_period", "10s")) <= drain_s:
            self.add(name, "drains longer than its grace period")
        for other in service.get("depends_on", {}):
            if "healthcheck" not in self.services.get(other, {}):
                self.add(name, f"depends on {other}, whose health nobody asks")
        self.network(name, service, values.get("listen", ""))
        self.files(name, service, values)
        self.health(name, service, values.get("listen", ""))

    def known(self, name, program, flags):
        for flag in flags:
            if flag not in self.flags.get(program, ()):
                self.add(name, f"{program} has no flag --{flag}")

    def network(self, name, service, listen):
        """Nobody but this machine reaches a service."""
        mode = service.get("network_mode")
        loopback = mode == "host" and listen.startswith("127.0.0.1:")
        if not loopback and not (mode == "none" and listen[:5] == "unix:"):
            self.add(name, f"listens at {listen} with network_mode {mode}")

    def files(self, name, service, values):
        """Paths in flags stand under a mount; sockets are somebody's."""
        mounts = service.get("volumes", ())
        for mount in mounts:
            source = mount["source"]
            if mount["type"] == "volume" and source not in self.volumes:
                self.add(name, f"there is no volume {source}")
        paths = {**values, **service.get("environment", {})}
        for flag, value in paths.items():
            path = value.removeprefix("unix:")
            mount = next((m for m in mounts if path.startswith(
                m["target"] + "/")), None)
            if path.startswith("/") and mount is None:
                self.add(name, f"{flag} {value} is on no mount")
        listens = {deploy_check.flag_values(s["command"])[0].get("listen")
                   for s in self.services.values()}
        for flag in ("target", "draft", "coordinator"):
            if flag in values and values[flag] not in listens:
                self.add(name, f"nobody listens at --{flag}={values[flag]}")

    def health(self, name, service, listen):
        test = service.get("healthcheck", {}).get("test", [])
        if test[:3] == ["CMD", "tandem", "health"]:
            values, rest = deploy_check.flag_values(test[3:])
            self.known(name, "tandem health", values)
            asked = rest == [listen]
        else:
            asked = test[:1] == ["CMD"] and (
                f"/dev/tcp/{listen.replace(':', '/')} " in test[-1])
        if not asked:
            self.add(name, f"its healthcheck does not ask {listen}")


def findings(document, flags):
    return Compose(document, flags).run()


def owner_findings(document, dockerfile):
    """A new volume gets the owner of the image's folder: root, where there is
    none, and then its service can not write."""
    found = []
    for name, service in document["services"].items():
        for mount in service.get("volumes", ()):
            volume = document["volumes"].get(mount["source"])
            if volume is None or "driver_opts" in volume:
                continue
            if not re.search(r"install -d -o (\d+) .*" + mount["target"] +
                             r"\n(.*\n)*USER \1:", dockerfile):
                found.append(f"{COMPOSE}: {name}: {deploy_check.DOCKERFILE} "
                             f"makes no {mount['target']} for its user")
    return found


if __name__ == "__main__":
    tree = check.source_root()
    if check.binary_root() is None:
        sys.exit("compose_check: set TANDEM_BINARY_DIR to a build folder")
    known = deploy_check.known_flags(check.binary_root() / "bin")
    found = findings(load(tree), known)
    found += owner_findings(load(tree),
                            check.read(tree, deploy_check.DOCKERFILE))
    for overlay in OVERLAYS:
        found += findings(load(tree, overlay), known)
    check.finish(found)
