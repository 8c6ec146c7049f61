"""What the project's README shows is run, and is what the tree holds.

Its code stands in three kinds of blocks: `console` (commands after "$ ",
without it their output), `sh` (commands whose flags alone are compared with the
programs, by tests/system/readme_test.py: they take ports or minutes) and
`text`. Each command of a `console` is run by .ci/run, by
tests/system/demo_test.py or by tests/system/readme_test.py; runner() says by
which. proto/README.md has the client in Python: `console` blocks too, and
`python` (tools/example_client.py, word for word). The reasons of errors that
README.md names are those of the code.

No README is wider or longer than a reader bears; tables and blocks of code do
not count. Each begins with its title; one that clang-format has rewritten does
not.
"""

import re

import check

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CLIENT = "tools/example_client.py"
# The pages whose commands are run, in this order.
PAGES = ("README.md", "proto/README.md")
REASONS = "engine/base/error_reason.h"

WIDTH_MAX = 100
LINES_MAX = 150

# What readme_test.py runs, against the service that `tandem up` starts.
RUN_BY_README_TEST = re.compile(
    r"^(export PATH=|tandem |\(umask 077; tandem |curl -s http://127\.0\.0\.1:"
    r"|mkdir -p build/stubs$|protoc |PYTHONPATH=build/stubs python3 tools/)")


def blocks(root, kind):
    return [text for page in PAGES
            for name, text in BLOCK.findall(check.read(root, page))
            if name == kind]


def flags_shown(root):
    """Commands of which the flags alone are compared, continued lines
    joined."""
    lines = "".join(blocks(root, "sh")).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines]


def shown(root):
    """(command, output that stands below it) in order, continued lines
    joined."""
    found = []
    for text in blocks(root, "console"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((" ".join(line[2:].split()), ""))
            elif found:
                command, output = found[-1]
                found[-1] = (command, output + line + "\n")
    return found


def commands(root):
    return [command for command, _ in shown(root)]


def runner(root, command):
    """Who runs a command, or None."""
    ci = check.read(root, ".ci/run").splitlines()
    if command in (line.strip() for line in ci):
        return ".ci/run"
    if f'"{command}"' in check.read(root, "tests/system/demo_test.py"):
        return "demo_test.py"
    if RUN_BY_README_TEST.match(command):
        return "readme_test.py"
    return None


def readme_findings(root):
    found = [f"README.md: nobody runs: {command}" for command in commands(root)
             if not runner(root, command)]
    kinds = {kind for kind, _ in BLOCK.findall(check.read(root, "README.md"))}
    found += [f"README.md: a block of kind \"{kind}\""
              for kind in sorted(kinds - {"console", "sh", "text"})]
    found += [f"README.md: no program of tandem: {command}"
              for command in flags_shown(root)
              if not re.match(r"tandem(-[a-z]+)?( |$)", command)]
    if blocks(root, "python") != [check.read(root, CLIENT)]:
        found.append(f"proto/README.md: its Python is not {CLIENT}")
    if not commands(root):
        found.append("README.md: shows no command")
    return found


def reason_findings(root):
    """Of tables that begin a row with a reason in backticks."""
    known = check.read(root, REASONS)
    cells = re.findall(r"^\|([^|]*)\|", check.read(root, "README.md"), re.M)
    reasons = re.findall(r"`([A-Z_]+)`", "".join(cells))
    found = [f"README.md: {REASONS} has no reason {reason}"
             for reason in reasons if f'"{reason}"' not in known]
    return found if reasons else ["README.md: names no reason of an error"]


def prose(text):
    """(line number, line) of what is neither table nor code."""
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        code = code != fence
        if not code and not fence and not line.startswith(("|", "    ")):
            yield number, line


def size_findings(root):
    found = []
    for name in check.tree_files(root):
        if not name.endswith(".md"):
            continue
        lines = list(prose(check.read(root, name)))
        found += [f"{name}:{number}: {len(line)} columns, more than "
                  f"{WIDTH_MAX}" for number, line in lines
                  if len(line) > WIDTH_MAX]
        if len(lines) > LINES_MAX:
            found.append(f"{name}: {len(lines)} lines, more than {LINES_MAX}")
    return found


def title_findings(root):
    return [f"{name}: does not begin with its title, \"# ...\""
            for name in check.tree_files(root) if name.endswith(".md")
            and not re.match(r"# \S", check.read(root, name))]


if __name__ == "__main__":
    tree = check.source_root()
    check.finish(readme_findings(tree) + reason_findings(tree) +
                 size_findings(tree) + title_findings(tree))
