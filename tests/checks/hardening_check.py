"""The programs are built as what faces strangers should be.

Reads their ELF headers with binutils' readelf: position independent, relocated
once and read-only after it, no executable stack, stack protector, the C
library's checks of buffers. A program that was built with a sanitizer is not
looked at.
"""

import pathlib
import re
import subprocess
import sys

import check

PROGRAMS = ("tandem", "tandem-worker", "tandem-coordinator",
            "tandem-gateway")


def readelf(path):
    return subprocess.run(
        ["readelf", "--wide", "--file-header", "--program-headers", "--dynamic",
         "--dyn-syms", str(path)],
        stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode()


def program_findings(path):
    text = readelf(path)
    symbols = set(re.findall(r"\s(__\w+?)(?:@\S+)?(?: \(\d+\))?$", text,
                             re.MULTILINE))
    if symbols & {"__asan_init", "__tsan_init"}:
        print(f"{path.name}: built with a sanitizer, not looked at")
        return []
    # A program that the loader places, not a library: it has an interpreter.
    rules = (
        (r"^\s*Type:\s+DYN\b", "is not position independent (PIE)"),
        (r"^\s*GNU_RELRO\b", "its relocations stay writable (no RELRO)"),
        (r"\(FLAGS\).*\bBIND_NOW\b|\(FLAGS_1\).*\bNOW\b",
         "is relocated while it runs (no BIND_NOW), so RELRO is partial"),
        (r"^\s*GNU_STACK\s+(?:0x\S+\s+){5}RW\s", "its stack is executable"))
    found = [f"{path.name}: {what}" for pattern, what in rules
             if not re.search(pattern, text, re.MULTILINE)]
    if "__stack_chk_fail" not in symbols:
        found.append(f"{path.name}: has no stack protector")
    if not any(s.endswith("_chk") for s in symbols):
        found.append(f"{path.name}: has no checks of buffers (_FORTIFY_SOURCE)")
    return found


def findings(folder):
    return [finding for program in PROGRAMS
            for finding in program_findings(pathlib.Path(folder) / program)]


if __name__ == "__main__":
    if check.binary_root() is None:
        sys.exit("hardening_check: set TANDEM_BINARY_DIR to a build folder")
    check.finish(findings(check.binary_root() / "bin"))
