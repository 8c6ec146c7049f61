"""Every source has a test, every test is built, and nothing is too long."""

import json
import pathlib
import re

import check

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 70
CLASS_METHODS_MAX = 30
CLASS_MEMBERS_MAX = 20
FOLDER_SOURCES_MAX = 20


def test_of(name):
    """Where the test of a source stands."""
    stem = name[:-len(".cc")]
    # One test program for the command line: tests/tools.
    stem = re.sub(r"^tools/tandem/", "tools/", stem)
    return f"tests/{stem}_test.cc"


def untested_findings(root):
    names = set(check.tree_files(root))
    found = []
    for name in sorted(names):
        if not re.match(r"(engine|services|tools)/.*\.cc$", name):
            continue
        # main.cc only wires, and the system tests run it; a benchmark measures
        # what has its tests.
        if name.endswith("/main.cc") or name.startswith("tools/bench/"):
            continue
        if test_of(name) not in names:
            found.append(f"{name}: has no test {test_of(name)}")
    return found


def built_sources(build):
    """Paths that the build compiles."""
    commands = json.loads((build / "compile_commands.json").read_text())
    return {str(pathlib.Path(c["directory"], c["file"]).resolve())
            for c in commands}


def unbuilt_findings(root, built):
    root = pathlib.Path(root).resolve()
    return [f"{name}: is not built"
            for name in check.source_files(root)
            if name.endswith(".cc") and str(root / name) not in built]


def script_findings(root):
    """Python tests that CMake's patterns do not find."""
    pattern = re.compile(r"^tests/(checks|system)/[^/]*(_test|_check)\.py$")
    return [f"{name}: stands where ctest does not look"
            for name in check.tree_files(root)
            if re.search(r"_(test|check)\.py$", name)
            and not pattern.match(name)]


def long_file_findings(root):
    found = []
    for name in check.tree_files(root):
        if not re.search(r"\.(cc|h|py|proto|cmake|js|mjs|css|html)$|"
                         r"CMakeLists\.txt$", name):
            continue
        lines = check.read(root, name).count("\n")
        if lines > FILE_LINES_MAX:
            found.append(f"{name}: {lines} lines, more than {FILE_LINES_MAX}")
    return found


_BLOCK_HEAD = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def is_function(head):
    """Whether `head`, the text before a brace, opens a function."""
    head = head.strip()
    if "(" not in head or head.endswith("="):
        return False
    before = head.split("(")[0]
    return not _BLOCK_HEAD.search(before)


def functions(text):
    """(first line, lines, head) of the outermost functions in C++ `text`."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", lambda m: "\n" *
                  m.group().count("\n"), check.code_only(text),
                  flags=re.MULTILINE)
    line, start, depth_of_function = 1, 0, None
    first_line, depth, found = 1, 0, []
    for index, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            if depth_of_function is None and is_function(code[start:index]):
                head = code[start:index]
                skipped = len(head) - len(head.lstrip())
                first_line = line - head[skipped:].count("\n")
                depth_of_function = depth
                name = " ".join(head.split())
            depth += 1
            start = index + 1
        elif char == "}":
            depth -= 1
            if depth_of_function == depth:
                found.append((first_line, line - first_line + 1, name))
                depth_of_function = None
            start = index + 1
        elif char == ";" and depth_of_function is None:
            start = index + 1
    return found


def long_function_findings(root):
    found = []
    for name in check.source_files(root):
        for first, lines, head in functions(check.read(root, name)):
            if lines > FUNCTION_LINES_MAX:
                found.append(f"{name}:{first}: {lines} lines, more than "
                             f"{FUNCTION_LINES_MAX}: {head[:60]}")
    return found


_CLASS_HEAD = re.compile(r"(?<!enum )\b(?:class|struct)\s+(?:\[\[\w+\]\]\s*)?"
                         r"(?:\w+::)*(\w+)[^;{}()=]*$")
# Macros with arguments, and access labels.
_DECORATION = re.compile(r"\b[A-Z][A-Z_]+\((?:[^()]|\([^()]*\))*\)|"
                         r"\b(?:public|private|protected)\s*:|\[\[[^]]*\]\]")
_NOT_A_MEMBER = re.compile(r"^(?:using|friend|typedef|enum|class|struct|union|"
                           r"static_assert|static|constexpr|template)\b")


def statement_kind(statement):
    """\"method\", \"member\" or None of a statement in a class; bodies are gone
    from it."""
    text = " ".join(_DECORATION.sub(" ", statement).split())
    while re.search(r"<[^<>]*>", text):
        text = re.sub(r"<[^<>]*>", "", text)
    text = re.sub(r"^template\s*", "", text)
    if not text or re.match(r"(?:using|friend|typedef|enum|static_assert)\b",
                            text) or text.endswith("= delete"):
        return None
    if "operator" in text or "(" in text.split("=")[0].split("{")[0]:
        return "method"
    return None if _NOT_A_MEMBER.match(text) else "member"


def classes(text):
    """(first line, name, methods, data members) of the classes in C++
    `text`."""
    code = check.code_only(text)
    scopes = []  # [name or None, first line, methods, members, head]
    line, start, found = 1, 0, []

    def count(head):
        if scopes and scopes[-1][0] is not None:
            kind = statement_kind(head)
            scopes[-1][2] += kind == "method"
            scopes[-1][3] += kind == "member"

    for index, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            head = code[start:index]
            is_class = _CLASS_HEAD.search(head)
            scopes.append([is_class and is_class.group(1), line, 0, 0, head])
            start = index + 1
        elif char == "}" and scopes:
            name, first, methods, members, head = scopes.pop()
            if name is not None:
                found.append((first, name, methods, members))
            # What follows a body that closes a function or an initialiser.
            rest = re.match(r"\s*;", code[index + 1:])
            if name is None and (is_function(head) or rest):
                count(head)
            start = index + 1
        elif char == ";":
            count(code[start:index])
            start = index + 1
    return found


def large_class_findings(root):
    found = []
    for name in check.source_files(root, ("engine", "services", "tools")):
        for first, title, methods, members in classes(check.read(root, name)):
            for count, limit, what in (
                    (methods, CLASS_METHODS_MAX, "methods"),
                    (members, CLASS_MEMBERS_MAX, "data members")):
                if count > limit:
                    found.append(f"{name}:{first}: {title} has {count} {what},"
                                 f" more than {limit}")
    return found


def large_folder_findings(root):
    """Folders with too many sources; x.cc and x.h count as one."""
    stems = {}
    for name in check.source_files(root, ("engine", "services", "tools")):
        folder, stem = name.rsplit("/", 1)
        stems.setdefault(folder, set()).add(stem.rsplit(".", 1)[0])
    return [f"{folder}: {len(names)} sources, more than {FOLDER_SOURCES_MAX}"
            for folder, names in sorted(stems.items())
            if len(names) > FOLDER_SOURCES_MAX]


if __name__ == "__main__":
    tree = check.source_root()
    findings = (untested_findings(tree) + script_findings(tree) +
                long_file_findings(tree) + long_function_findings(tree) +
                large_class_findings(tree) + large_folder_findings(tree))
    if check.binary_root():
        findings += unbuilt_findings(tree, built_sources(check.binary_root()))
    check.finish(findings)
