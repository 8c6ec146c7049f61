"""What the checks of this folder share.

A check is a program that reads the tree at TANDEM_SOURCE_DIR (default: the tree
that it stands in), prints one line per finding and ends with 1 if there is one.
Its findings come from functions that take the root, so that a self-test can
point them at a tree that breaks the rule.
"""

import os
import pathlib
import re
import subprocess
import sys

SOURCE_SUFFIXES = (".cc", ".h")


def source_root():
    here = pathlib.Path(__file__).resolve().parents[2]
    return pathlib.Path(os.environ.get("TANDEM_SOURCE_DIR", here))


def binary_root():
    """The build folder, or None outside ctest."""
    folder = os.environ.get("TANDEM_BINARY_DIR")
    return pathlib.Path(folder) if folder else None


def tree_files(root):
    """Paths (relative, sorted) of the files that belong to the project: those
    that git tracks or would, and all files where the tree is no checkout."""
    root = pathlib.Path(root)
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if (root / ".git").exists() and listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
    else:
        names = [str(p.relative_to(root)) for p in root.rglob("*")
                 if "build" not in p.relative_to(root).parts[:1]]
    return sorted(n for n in set(names) if n and (root / n).is_file())


def source_files(root, folders=("engine", "services", "tools", "tests")):
    return [n for n in tree_files(root)
            if n.endswith(SOURCE_SUFFIXES) and n.split("/")[0] in folders]


def read(root, name):
    return (pathlib.Path(root) / name).read_text(encoding="utf-8",
                                                 errors="replace")


_LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]*)\(.*?\)(?P=tag)"'
    r'|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_only(text):
    """`text` of C++ without comments and literals; line numbers stay."""
    def replacement(match):
        comment = match.group().startswith("/")
        return ("" if comment else '""') + "\n" * match.group().count("\n")

    return _LITERAL.sub(replacement, text)


def includes(text):
    """(line number, path) of every #include, in either form."""
    pattern = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = pattern.match(line)
        if match:
            found.append((number, match.group(1)))
    return found


def finish(findings):
    """Prints the findings and ends the program."""
    for finding in findings:
        print(finding)
    print(f"{len(findings)} finding(s)")
    sys.exit(1 if findings else 0)
