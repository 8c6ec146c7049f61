#!/usr/bin/env python3
"""Writes tests/data/proto_v1.binpb, the published protocol, anew.

Refuses where that would break a promise; a break needs a new package version,
or, before anybody has used the protocol, --force.
"""

import sys

import check
import proto_check


def main():
    root = check.source_root()
    files = proto_check.descriptor_set(root)
    path = root / proto_check.BASELINE
    if path.exists() and "--force" not in sys.argv[1:]:
        broken = proto_check.breaking_findings(proto_check.read_baseline(root),
                                               files)
        if broken:
            check.finish(broken)
    for file in files.file:
        file.ClearField("source_code_info")
    path.write_bytes(files.SerializeToString(deterministic=True))
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
