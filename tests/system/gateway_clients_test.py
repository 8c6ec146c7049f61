"""Clients of other makers against the gateway, by Node.js: the official one of
OpenAI's API, and the AI SDK. npm installs them into the build folder, as
tests/services/gateway/clients/package-lock.json says."""

import os
import shutil
import subprocess
import sys
import unittest

import gateway_test
import processes
import tools_test

SOURCE = processes.SOURCE_DIR / "tests/services/gateway/clients"
FOLDER = processes.BINARY_DIR / "gateway_clients"
NPM_LIMIT_SECONDS = 120


def install():
    """Why the clients can not be had; "" where they are there."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "needs node and npm (tools/setup installs them)"
    FOLDER.mkdir(exist_ok=True)
    lock = FOLDER / "package-lock.json"
    wanted = (SOURCE / "package-lock.json").read_bytes()
    if not (FOLDER / "node_modules/openai").exists() or not (
            lock.exists() and lock.read_bytes() == wanted):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, FOLDER)
        try:
            result = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FOLDER, capture_output=True, text=True, check=False,
                timeout=NPM_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            return "npm does not reach its registry"
        if result.returncode != 0:
            return f"npm ci: {result.stderr.strip().splitlines()[:1]}"
    return ""


class GatewayClientsTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        why = install()
        if why:
            raise unittest.SkipTest(why)
        super().setUpClass()
        cls.gateway = gateway_test.Gateway(cls.cluster)

    def run_script(self, name, gateway=None):
        # Modules are looked for beside the script.
        shutil.copy(SOURCE / name, FOLDER)
        result = subprocess.run(
            ["node", "--test", FOLDER / name], capture_output=True, text=True,
            check=False, timeout=processes.LIMIT_SECONDS,
            env={**os.environ,
                 "TANDEM_GATEWAY":
                     f"http://{(gateway or self.gateway).address}"})
        print(result.stdout, file=sys.stderr)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_tools_by_the_official_client(self):
        cluster = tools_test.ToolsCluster()
        self.addCleanup(cluster.stop)
        self.run_script("openai_tools_test.mjs",
                        gateway_test.Gateway(cluster))

    def test_the_official_client(self):
        self.run_script("openai_test.mjs")

    def test_the_ai_sdk(self):
        self.run_script("ai_sdk_test.mjs")


if __name__ == "__main__":
    processes.main()
