"""Every C++ file is as clang-format would have it."""

import shutil
import subprocess
import sys

import check


def format_findings(root):
    names = check.source_files(root)
    if not names:
        return []
    result = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", *names], cwd=root,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode == 0:
        return []
    return [line for line in result.stdout.decode(errors="replace").splitlines()
            if "error:" in line]


if __name__ == "__main__":
    if not shutil.which("clang-format"):
        sys.exit("format_check: no clang-format on PATH; run tools/setup")
    check.finish(format_findings(check.source_root()))
