"""What deploy/compose.yaml starts works together: its commands and health
checks are run as they stand there, with the containers' folders elsewhere."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import keys_test
import processes

sys.path.append(str(processes.SOURCE_DIR / "tests/checks"))
import compose_check  # pylint: disable=wrong-import-position

START_ORDER = ("target", "draft", "coordinator", "gateway")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Containers:
    """The services of a composed document as processes."""

    def __init__(self, document, keys_folder=""):
        self._folder = tempfile.TemporaryDirectory(prefix="tandem-compose.",
                                                   dir="/tmp")
        self.folder = pathlib.Path(self._folder.name)
        (self.folder / "run").mkdir()
        (self.folder / "lib").mkdir(mode=0o700)
        self.address = f"127.0.0.1:{free_port()}"
        self.places = {"/run/tandem": str(self.folder / "run"),
                       "/var/lib/tandem": str(self.folder / "lib"),
                       "/models": str(processes.MODELS),
                       "/keys": str(keys_folder),
                       "127.0.0.1:8080": self.address,
                       "127.0.0.1/8080": self.address.replace(":", "/")}
        self.processes = {}
        self._services = document["services"]
        try:
            for name in START_ORDER:
                self.start(name, self._services[name])
        except BaseException:
            self.stop()
            raise

    def here(self, text):
        return re.sub(r"(?<!\w)(" + "|".join(map(re.escape, self.places)) + ")",
                      lambda match: self.places[match[1]],
                      compose_check.substitute(text))

    def start(self, name, service):
        command = [self.here(word) for word in service["command"]]
        command[0] = processes.BIN / command[0]
        environment = {
            "PATH": f"{processes.BIN}:{os.environ['PATH']}",
            **{variable: self.here(value) for variable, value in
               service.get("environment", {}).items()}}
        with open(self.folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log,
                                       stdin=subprocess.DEVNULL, stderr=log)
        self.processes[name] = process
        test = [self.here(word) for word in service["healthcheck"]["test"][1:]]

        def healthy():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text()
                raise AssertionError(f"{name} ended: {log}")
            return subprocess.run(test, env=environment, check=False,
                                  stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL).returncode == 0

        processes.wait_until(healthy, f"{name} is healthy")

    def restart(self, name):
        self.processes[name].send_signal(signal.SIGTERM)
        self.processes[name].wait(processes.LIMIT_SECONDS)
        self.start(name, self._services[name])

    def ask(self, **headers):
        connection = http.client.HTTPConnection(
            self.address, timeout=processes.LIMIT_SECONDS)
        connection.request(
            "POST", "/v1/completions",
            json.dumps({"prompt": "Once upon a time", "max_tokens": 16,
                        "seed": 7, "tandem": {"draft_length": 4}}),
            {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        answer = json.load(response)
        connection.close()
        return response.status, answer

    def stop(self):
        codes = {}
        for name, process in reversed(self.processes.items()):
            process.send_signal(signal.SIGTERM)
            try:
                codes[name] = process.wait(processes.LIMIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                codes[name] = process.wait()
        self._folder.cleanup()
        return codes


class ComposeTest(unittest.TestCase):

    def start(self, *overlays, **options):
        containers = Containers(
            compose_check.load(processes.SOURCE_DIR, *overlays), **options)
        self.addCleanup(self.stop, containers)
        return containers

    def stop(self, containers):
        self.assertEqual(set(containers.stop().values()), {0})

    def test_a_completion_is_drafted(self):
        status, answer = self.start().ask()
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["usage"]["completion_tokens"], 16)
        self.assertGreater(
            answer["tandem"]["speculation"]["drafted_tokens"], 0)

    def test_sessions_outlive_the_coordinator(self):
        containers = self.start()
        at = ("--coordinator", containers.here(
            "unix:/run/tandem/coordinator.sock"))
        first = processes.tandem("generate", "Once", "--max-tokens=4", "--json",
                                 *at)
        self.assertEqual(first.returncode, 0, first.stderr)
        containers.restart("coordinator")
        later = processes.tandem("generate", " and", "--max-tokens=4",
                                 "--session",
                                 json.loads(first.stdout)["session_id"], *at)
        self.assertEqual(later.returncode, 0, later.stderr)

    def test_keys_are_wanted(self):
        keys = keys_test.Keys()
        self.addCleanup(keys.cleanup)
        key = keys.new("alice", "alice").read_text().strip()
        containers = self.start(*compose_check.OVERLAYS,
                                keys_folder=keys.folder)
        self.assertEqual(containers.ask()[0], 401)
        self.assertEqual(
            containers.ask(Authorization=f"Bearer {key}")[0], 200)


if __name__ == "__main__":
    processes.main()
