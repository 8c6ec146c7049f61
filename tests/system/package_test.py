"""The packages as a user has them: they are made in a folder of their own and
unpacked, and what they hold works there."""

import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

import client_package_test
import processes

PROGRAMS = ("tandem", "tandem-worker", "tandem-coordinator", "tandem-gateway")
# The C library has to fit the system's loader, so it is the system's.
OF_THE_C_LIBRARY = re.compile(
    r"(ld-linux-x86-64|lib(c|m|mvec|dl|pthread|rt|resolv|util))\.so\.\d")
GLIBC_MAX = (2, 36)
PAGE = "share/man/man1/{}.1.gz"
COMPLETIONS = {
    "bash": ("share/bash-completion/completions/tandem", ["-n"]),
    "fish": ("share/fish/vendor_completions.d/tandem.fish", ["--no-execute"]),
    # Debian's zsh looks elsewhere than that of others.
    "zsh": ("share/zsh/{}/_tandem", ["-n"])}
# Compressing takes 15 s of a free processor, and more of a busy one.
PACKING_SECONDS = 500
# Who published nothing has no address.
NO_MAINTAINER = ("bogus-mail-host", "bogus-mail-host-in-debian-changelog")


def run(*command, **options):
    """Its standard output; it has to succeed."""
    options.setdefault("timeout", processes.LIMIT_SECONDS)
    result = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False, **options)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.stderr.decode()}")
    return result.stdout.decode()


def clean_environment():
    """Nothing in it helps to find libraries."""
    return {name: value for name, value in os.environ.items()
            if not name.startswith("LD_")}


class PackageTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if client_package_test.cache_value("TANDEM_SANITIZER"):
            raise unittest.SkipTest("packages hold no sanitizer")
        folder = tempfile.TemporaryDirectory(prefix="tandem-package-test.")
        cls.addClassCleanup(folder.cleanup)
        work = pathlib.Path(folder.name)
        run("cpack", "--config", processes.BINARY_DIR / "CPackConfig.cmake",
            "-B", work, cwd=work, timeout=PACKING_SECONDS)
        cls.made = work / "packages"
        cls.debian = work / "debian/usr"
        cls.debian_dev = work / "debian-dev/usr"
        for package, to in (("tandem", cls.debian),
                            ("tandem-dev", cls.debian_dev)):
            run("dpkg-deb", "-x", cls.deb(package), to.parent)
        archive, = cls.made.glob("tandem-*-linux-x86_64.tar.gz")
        # A user's folder may have any name.
        cls.portable = work / "a folder" / archive.name.removesuffix(".tar.gz")
        cls.portable.parent.mkdir()
        run("tar", "-xzf", archive, "-C", cls.portable.parent)

    @classmethod
    def deb(cls, package):
        found, = cls.made.glob(f"{package}_*_amd64.deb")
        return found

    def test_the_deb_says_what_it_is(self):
        version = run(processes.BIN / "tandem", "--version").split()[-1]
        for package, needed in (("tandem", "libgrpc++1.51"),
                                ("tandem-dev", "libgrpc++-dev")):
            fields = dict(re.findall(r"^(\S+): (.*)$",
                                     run("dpkg-deb", "-f", self.deb(package)),
                                     re.MULTILINE))
            self.assertEqual(fields["Package"], package)
            self.assertEqual(fields["Version"], version)
            self.assertIn(needed, fields["Depends"])
            self.assertIn("<", fields["Maintainer"])
            self.assertNotIn("CMake", fields["Description"])
            self.assertEqual("-dev" in fields["Depends"],
                             package == "tandem-dev")

    def test_each_file_is_in_its_package(self):
        for name in PROGRAMS:
            self.assertTrue((self.debian / "bin" / name).is_file(), name)
        for name in ("lib/libtandem_client.a",
                     "include/tandem/services/client/client.h",
                     "lib/cmake/tandem-client/tandem-client-config.cmake"):
            self.assertTrue((self.debian_dev / name).is_file(), name)
            self.assertFalse((self.debian / name).exists(), name)
            self.assertFalse((self.portable / name).exists(), name)
        for name in ("bin", "share/man"):
            self.assertFalse((self.debian_dev / name).exists(), name)
        # Those of the system are the package's dependencies.
        self.assertFalse((self.debian / "lib").exists())

    def test_lintian_finds_no_error(self):
        if shutil.which("lintian") is None:
            self.skipTest("lintian is not installed")
        result = subprocess.run(
            ["lintian", "--no-cfg", "--allow-root", "--suppress-tags",
             ",".join(NO_MAINTAINER), self.deb("tandem"),
             self.deb("tandem-dev")], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            timeout=processes.LIMIT_SECONDS)
        self.assertEqual((result.returncode, result.stdout.decode()), (0, ""))

    def test_programs_run_a_model(self):
        flags = ("run", processes.TARGET_MODEL, "Once upon a time", "--seed",
                 "7", "--max-tokens", "16")
        expected = run(processes.BIN / "tandem", *flags)
        self.assertGreater(len(expected.split()), 5)
        for root in (self.debian, self.portable):
            self.assertEqual(run(root / "bin/tandem", *flags,
                                 env=clean_environment()), expected)
            for program in PROGRAMS:
                self.assertRegex(run(root / "bin" / program, "--version"),
                                 r"\d+\.\d+\.\d+")

    def test_the_archive_has_its_libraries(self):
        for program in PROGRAMS:
            found = re.findall(r"^\t(\S+)(?: => (.*?))? \(0x", run(
                "ldd", self.portable / "bin" / program,
                env=clean_environment()), re.MULTILINE)
            self.assertGreater(len(found), 30, program)
            for name, path in found:
                if name.startswith("linux-vdso") or OF_THE_C_LIBRARY.match(
                        pathlib.Path(name).name):
                    continue
                self.assertTrue(
                    path.startswith(f"{self.portable}/bin/../lib/tandem/"),
                    f"{program}: {name} is {path or 'not found'}")

    def test_the_archive_asks_for_no_newer_c_library(self):
        for folder in ("bin", "lib/tandem"):
            for path in (self.portable / folder).iterdir():
                needed = re.findall(r"\bGLIBC_(\d+)\.(\d+)\b",
                                    run("objdump", "-T", path))
                self.assertLessEqual(
                    max((int(major), int(minor)) for major, minor in needed
                        or [(0, 0)]), GLIBC_MAX, path.name)

    def test_licenses_come_along(self):
        folder = self.portable / "share/doc/tandem/licenses"
        origins = re.findall(r"^(\S+) \S+, source ",
                             (folder / "libraries.txt").read_text(),
                             re.MULTILINE)
        self.assertIn("libgrpc++1.51", origins)
        for package in origins:
            self.assertTrue((folder / package).is_file(), package)
        for root in (self.debian, self.portable):
            documents = root / "share/doc/tandem"
            self.assertTrue((documents / "LICENSE").is_file())
            self.assertTrue((documents / "licenses/libcli11-dev").is_file())

    def test_man_pages_have_no_complaint(self):
        for root in (self.debian, self.portable):
            for program in PROGRAMS:
                page = gzip.decompress(
                    (root / PAGE.format(program)).read_bytes())
                self.assertIn(f".TH {program.upper()} 1".encode(), page)
                result = subprocess.run(
                    ["groff", "-man", "-ww", "-Tutf8", "-z"], input=page,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    check=False)
                self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_shells_read_their_completions(self):
        for root, zsh in ((self.debian, "vendor-completions"),
                          (self.portable, "site-functions")):
            for shell, (name, flags) in COMPLETIONS.items():
                path = root / name.format(zsh)
                self.assertEqual(path.read_text(), run(
                    root / "bin/tandem", "completion", shell))
                if shutil.which(shell):
                    run(shell, *flags, path)

    def test_the_archive_serves(self):
        folder = tempfile.TemporaryDirectory(prefix="tandem-package-test.",
                                             dir="/tmp")
        self.addCleanup(folder.cleanup)
        program = self.portable / "bin/tandem"
        with open(f"{folder.name}/messages", "w+b") as messages:
            service = subprocess.Popen(
                [program, "up", processes.TARGET_MODEL, "--draft",
                 processes.DRAFT_MODEL, "--listen", "127.0.0.1:0",
                 "--http-listen", "127.0.0.1:0", "--log-file",
                 f"{folder.name}/log"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=messages,
                env={**clean_environment(), "XDG_RUNTIME_DIR": folder.name})
            self.addCleanup(service.stdout.close)
            self.addCleanup(service.wait)
            self.addCleanup(service.kill)
            addresses = dict(service.stdout.readline().decode().split()
                             for _ in range(2))
            messages.seek(0)
            self.assertIn("gRPC", addresses, messages.read().decode())
            self.assertEqual(run(program, "health", addresses["gRPC"]),
                             "SERVING\n")
            health = addresses["HTTP"].removesuffix("/v1") + "/health"
            with urllib.request.urlopen(
                    health, timeout=processes.LIMIT_SECONDS) as response:
                self.assertEqual(json.load(response), {"status": "ok"})
            service.send_signal(signal.SIGTERM)
            self.assertEqual(service.wait(processes.LIMIT_SECONDS), 0)
        # Libraries elsewhere than the system's are no matter for the sandbox.
        self.assertNotIn("sandbox: refused",
                         pathlib.Path(folder.name, "log").read_text())


if __name__ == "__main__":
    processes.main()
