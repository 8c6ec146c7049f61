"""Every header compiles alone.

The build has shown it for a header that is the first thing some source
includes, as Google style wants it of x.cc and x.h; the others are compiled
here.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import check


def compiler(root, build):
    # ccache keeps the objects: a second run takes a second.
    command = [p for p in [shutil.which("ccache")] if p]
    return command + [
        os.environ.get("CXX", "g++"), "-std=c++20", "-O0", "-w", "-c",
        f"-I{root}", "-isystem", f"{build}/proto/generated"]


def shown_by_build(root):
    """Headers that a source includes before anything else."""
    first = set()
    for name in check.source_files(root):
        if name.endswith(".cc"):
            first.update(path for _, path in
                         check.includes(check.read(root, name))[:1])
    return first


def compile_alone(command, folder, name):
    """The first error, or None."""
    stem = folder / name.replace("/", "_")
    source = stem.with_suffix(".cc")
    source.write_text(f'#include "{name}"\n')
    result = subprocess.run(
        command + [str(source), "-o", str(stem.with_suffix(".o"))],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode == 0:
        return None
    lines = result.stdout.decode(errors="replace").splitlines()
    errors = [line for line in lines if "error" in line] or lines
    return f"{name}: does not compile alone: {errors[0]}"


def needs_avx(name):
    return re.search(r"(avx|vnni)", name) is not None


def header_findings(root, build):
    command = compiler(root, build)
    folder = build / "headers_check"
    folder.mkdir(parents=True, exist_ok=True)
    shown = shown_by_build(root)
    names = [n for n in check.source_files(root)
             if n.endswith(".h") and n not in shown]

    def run(name):
        extra = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni",
                 "-mfma"] if needs_avx(name) else []
        return compile_alone(command + extra, folder, name)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [found for found in pool.map(run, names) if found]


if __name__ == "__main__":
    folder = check.binary_root()
    if folder is None:
        sys.exit("headers_check: set TANDEM_BINARY_DIR to a build folder")
    check.finish(header_findings(check.source_root(), folder))
