"""From a clean Debian 12 to packages, and from packages to a text: one system
builds them by tools/setup, another installs the .deb, and one of another release
with a newer C library unpacks the .tar.gz. Takes some 20 minutes on two cores,
600 MB from a mirror of Debian, and 6 GB of disk. Exit code 77: it can not run
here, which a line explains."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request

import processes

MIRROR = os.environ.get("TANDEM_DEBIAN_MIRROR",
                        "http://deb.debian.org/debian")
RELEASE, OTHER_RELEASE = "bookworm", "trixie"
SKIPPED = 77
PROMPT = ("Once upon a time", "--seed", "7", "--max-tokens", "16")


def why_not():
    """What this machine lacks, or None."""
    if os.geteuid() != 0:
        return "it has to be root, for chroot"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed"
    try:
        with urllib.request.urlopen(f"{MIRROR}/dists/{RELEASE}/Release",
                                    timeout=10):
            return None
    except OSError as error:
        return (f"no mirror of Debian: {MIRROR}: {error}; "
                "TANDEM_DEBIAN_MIRROR names another one")


def run(*command, **options):
    print("+", *command, flush=True)
    return subprocess.run(command, check=True, **options)


def inside(root, *command, **options):
    """Runs it in `root` with /proc, which goes with the process."""
    return run("unshare", "--mount", "sh", "-c",
               'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', root,
               "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
               "LC_ALL=C.UTF-8", *command, **options)


def copy_sources(to):
    """As a clone has them, with what is not yet committed."""
    to.mkdir()
    names = run("git", "-C", processes.SOURCE_DIR, "ls-files", "-z",
                "--cached", "--others", "--exclude-standard",
                stdout=subprocess.PIPE).stdout
    archive = run("tar", "-C", processes.SOURCE_DIR, "--null", "-T", "-", "-cf",
                  "-", input=names, stdout=subprocess.PIPE).stdout
    run("tar", "-C", to, "-xf", "-", input=archive)


def text_of(root, program):
    return inside(root, program, "run", "/model.gguf", *PROMPT,
                  stdout=subprocess.PIPE).stdout.decode()


def new_system(root, release):
    run("debootstrap", "--variant=minbase", release, root, MIRROR)
    shutil.copy(processes.TARGET_MODEL, root / "model.gguf")
    return root


def build(work):
    """The folder of the packages, and the text of what was built."""
    root = new_system(work / "builder", RELEASE)
    # git is not there, and neither are its files.
    copy_sources(root / "tandem")
    inside(root, "/tandem/tools/setup", "packages")
    built = "tandem/build/release"
    return (root / built / "packages",
            text_of(root, f"/{built}/bin/tandem"))


def install(work, packages):
    """The text of the .deb's program."""
    root = new_system(work / "user", RELEASE)
    deb, = packages.glob("tandem_*.deb")
    shutil.copy(deb, root)
    inside(root, "apt-get", "update", "-q")
    inside(root, "apt-get", "install", "-y", "-q", "--no-install-recommends",
           f"/{deb.name}")
    text = text_of(root, "tandem")
    inside(root, "apt-get", "remove", "-y", "-q", "tandem")
    if (root / "usr/bin/tandem").exists():
        sys.exit("the .deb left its programs behind")
    return text


def unpack(work, packages):
    """The text of the archive's program."""
    root = new_system(work / "other", OTHER_RELEASE)
    archive, = packages.glob("*.tar.gz")
    run("tar", "-xzf", archive, "-C", root / "opt")
    return text_of(
        root, f"/opt/{archive.name.removesuffix('.tar.gz')}/bin/tandem")


def check(work):
    packages, expected = build(work)
    found = [install(work, packages), unpack(work, packages)]
    if found != [expected] * 2 or not expected:
        sys.exit(f"built: {expected!r}, .deb and archive: {found!r}")


def main():
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory(prefix="tandem-clean-debian.") as folder:
        check(pathlib.Path(folder))


if __name__ == "__main__":
    main()
