"""tools/setup on other systems than Debian 12: it says so, and changes
nothing."""

import os
import re
import subprocess
import tempfile
import unittest

import processes

UBUNTU = """PRETTY_NAME="Ubuntu 24.04.2 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
ID=ubuntu
ID_LIKE=debian
"""


def setup(os_release, *arguments):
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(os_release)
        file.flush()
        return subprocess.run(
            [processes.SOURCE_DIR / "tools/setup", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            timeout=processes.LIMIT_SECONDS,
            env={**os.environ, "TANDEM_OS_RELEASE": file.name})


class SetupTest(unittest.TestCase):

    def assert_refused(self, os_release, name):
        result = setup(os_release)
        said = result.stderr.decode()
        self.assertEqual((result.returncode, result.stdout), (2, b""), said)
        self.assertTrue(said.startswith(
            f"setup: this is {name}, and tools/setup is for Debian 12; "
            "nothing was changed."), said)
        for remedy in ("docker build -f deploy/Dockerfile", "the .tar.gz",
                       "cmake --preset release"):
            self.assertIn(remedy, said)
        return said

    def test_another_distribution_gets_packages_by_purpose(self):
        said = self.assert_refused(UBUNTU, "Ubuntu 24.04.2 LTS")
        lists = dict(re.findall(r"^to (\w+)[^:]*: (.*)$", said, re.MULTILINE))
        self.assertEqual(set(lists), {"build", "test", "run"})
        for purpose, package, other in (("build", "libgrpc++-dev", "python3"),
                                        ("test", "python3", "libssl3"),
                                        ("run", "libssl3", "g++")):
            self.assertIn(package, lists[purpose].split())
            self.assertNotIn(other, lists[purpose].split())

    def test_another_debian(self):
        self.assert_refused('PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
                            'ID=debian\nVERSION_ID="13"\n',
                            "Debian GNU/Linux 13 (trixie)")

    def test_a_system_without_a_name(self):
        self.assert_refused("", "no known system")

    def test_help_is_for_all(self):
        result = setup(UBUNTU, "--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"Usage: tools/setup", result.stdout)


if __name__ == "__main__":
    processes.main()
