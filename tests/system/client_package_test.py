"""A program of somebody else is built against the installed client library, and
streams a turn."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import processes

EXAMPLE = processes.SOURCE_DIR / "services/client/example"


def cache_value(name):
    """Of the build that runs the test; empty where it is not set."""
    for line in (processes.BINARY_DIR /
                 "CMakeCache.txt").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split("=", 1)[1]
    return ""


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False,
                            timeout=processes.LIMIT_SECONDS)
    if result.returncode != 0:
        raise AssertionError(f"{command}\n{result.stdout.decode()}")


class ClientPackageTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.prefix = pathlib.Path(folder.name, "prefix")
        cls.build = pathlib.Path(folder.name, "build")
        run("cmake", "--install", processes.BINARY_DIR, "--component",
            "client", "--prefix", cls.prefix)
        # A copy: nothing of the repository is beside it.
        source = shutil.copytree(EXAMPLE, pathlib.Path(folder.name, "source"))
        sanitizer = cache_value("TANDEM_SANITIZER")
        run("cmake", "-S", source, "-B", cls.build, "-G", "Ninja",
            f"-DCMAKE_PREFIX_PATH={cls.prefix}", "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_CXX_COMPILER={cache_value('CMAKE_CXX_COMPILER')}",
            f"-DCMAKE_CXX_FLAGS={'-fsanitize=' + sanitizer if sanitizer else ''}"
            )
        run("cmake", "--build", cls.build)

    def tell(self, address):
        return subprocess.run([self.build / "tell", address, "Once upon a time"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=os.environ, check=False,
                              timeout=processes.LIMIT_SECONDS)

    def test_it_streams_a_turn(self):
        result = self.tell(self.cluster.coordinator)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        self.assertGreater(len(result.stdout.decode().split()), 10)

    def test_an_error_is_a_status(self):
        result = self.tell("http://a:1")
        self.assertEqual(result.returncode, 1)
        self.assertIn("INVALID_ARGUMENT: http://a:1: is a URL",
                      result.stderr.decode())


if __name__ == "__main__":
    processes.main()
