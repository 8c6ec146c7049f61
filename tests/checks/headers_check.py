"""Every header compiles alone."""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import check


def compiler(root, build):
    # ccache keeps the objects: a second run takes a second.
    command = [p for p in [shutil.which("ccache")] if p]
    return command + [
        os.environ.get("CXX", "g++"), "-std=c++20", "-O0", "-w", "-c", "-x",
        "c++", f"-I{root}", f"-I{build}/proto/generated", f"-I{root}/proto"]


def compile_alone(command, root, name):
    """The first error, or None."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "alone.cc"
        source.write_text(f'#include "{name}"\n')
        result = subprocess.run(
            command + [str(source), "-o", os.path.join(folder, "alone.o")],
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
    names = [n for n in check.source_files(root) if n.endswith(".h")]

    def run(name):
        extra = ["-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni",
                 "-mfma"] if needs_avx(name) else []
        return compile_alone(command + extra, root, name)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [found for found in pool.map(run, names) if found]


if __name__ == "__main__":
    folder = check.binary_root()
    if folder is None:
        sys.exit("headers_check: set TANDEM_BINARY_DIR to a build folder")
    check.finish(header_findings(check.source_root(), folder))
