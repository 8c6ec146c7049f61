"""What a README points at exists: relative links, and paths in backticks."""

import pathlib
import re

import check

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# A path of this tree: begins in one of its folders. Patterns and placeholders
# (*, <x>, NAME) are none.
TREE_PATH = re.compile(
    r"^(\.{0,2}/)?(\.ci|cmake|deploy|engine|proto|services|tests|tools)"
    r"(/[A-Za-z0-9_.\-]+)*/?$")


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def exists(root, folder, target):
    target = target.split("#")[0]
    if not target:
        return True  # a link into the page itself
    places = (folder / target, root / target.lstrip("/"))
    # engine/base/hash stands for hash.h and hash.cc.
    return any(p.exists() or p.with_suffix(".h").exists() for p in places)


def is_file_of_folder(target):
    """A bare file name, as a README uses of its neighbours."""
    return re.fullmatch(r"[a-z0-9_\-]+\.(cc|h|proto|py|md|txt|yaml)",
                        target) is not None


def link_findings(root):
    root = pathlib.Path(root)
    found = []
    for name in check.tree_files(root):
        if not name.endswith(".md"):
            continue
        folder = (root / name).parent
        text = without_blocks(check.read(root, name))
        for target in LINK.findall(text):
            if "://" not in target and not exists(root, folder, target):
                found.append(f"{name}: links to {target}, which is not there")
        for target in CODE.findall(text):
            tree = TREE_PATH.match(target)
            bare = is_file_of_folder(target)
            if tree and not exists(root, folder, target):
                found.append(f"{name}: names {target}, which is not there")
            if bare and not any(folder.rglob(target)):
                found.append(f"{name}: names {target}, which is not in its "
                             "folder")
    return found


if __name__ == "__main__":
    check.finish(link_findings(check.source_root()))
