"""Guarded members are touched under their locks.

ABSL_GUARDED_BY and its kin mean something to clang alone: it reads the sources
of services/ and engine/ as the build compiles them, with -Wthread-safety, and
makes no objects.
"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import check

COMPILERS = ("clang++-14", "clang++")
FOLDERS = ("engine/", "services/")


def clang():
    """The first compiler of COMPILERS that is there, or None."""
    return next((c for c in COMPILERS if shutil.which(c)), None)


def clang_arguments(command):
    """The build's compile command of one file without its compiler, launcher
    and output."""
    arguments = shlex.split(command)
    while not arguments[0].startswith("-"):
        arguments = arguments[1:]
    if "-o" in arguments:
        at = arguments.index("-o")
        del arguments[at:at + 2]
    return [a for a in arguments if a != "-c"]


def first_error(compiler, entry, name):
    """The first error of the file that `entry` of compile_commands.json
    compiles, or None."""
    result = subprocess.run(
        [compiler, *clang_arguments(entry["command"]), "-fsyntax-only",
         "-Wthread-safety", "-Werror", "-Wno-unknown-warning-option"],
        cwd=entry["directory"], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False)
    if result.returncode == 0:
        return None
    lines = result.stdout.decode(errors="replace").splitlines()
    errors = [line for line in lines if "error:" in line] or lines
    return f"{name}: {errors[0]}"


def thread_safety_findings(root, build, compiler):
    root = pathlib.Path(root).resolve()
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = pathlib.Path(entry["directory"], entry["file"]).resolve()
        name = os.path.relpath(path, root)
        if name.startswith(FOLDERS):
            entries.setdefault(name, entry)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda item: first_error(compiler, item[1], item[0]),
                         sorted(entries.items()))
        return [finding for finding in found if finding]


if __name__ == "__main__":
    folder = check.binary_root()
    if folder is None:
        sys.exit("thread_safety_check: set TANDEM_BINARY_DIR to a build folder")
    if clang() is None:
        sys.exit(f"thread_safety_check: needs {COMPILERS[0]}, which tools/setup"
                 " installs")
    check.finish(thread_safety_findings(check.source_root(), folder, clang()))
