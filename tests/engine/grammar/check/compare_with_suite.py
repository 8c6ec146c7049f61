"""Compares grammars of JSON Schemas with the JSON Schema Test Suite
(github.com/json-schema-org/JSON-Schema-Test-Suite), draft 2020-12 and its
formats:

    compare_with_suite.py build/release/bin/tandem-check-grammar SUITE

SUITE is a checkout of the suite, which is not part of this project, so this is
run by hand. Prints what differs, and a count of each kind; exits 1 where an
invalid value is taken, or a valid one refused without a rule of
engine/grammar/README.md."""

import collections
import json
import pathlib
import sys

import compare_with_jsonschema

# Valid values that are refused, by file and the test's description.
REFUSED = {
    "allOf.json": {"allOf": "property order", "valid": "property order"},
    "const.json": {
        "same object with different property order is valid": "property order",
        "float zero is valid": "spelling of numbers",
        "float one is valid": "spelling of numbers",
        "float is valid": "spelling of numbers"},
    "enum.json": {
        "float zero is valid": "spelling of numbers",
        "[0.0] is valid": "spelling of numbers",
        "float one is valid": "spelling of numbers",
        "[1.0] is valid": "spelling of numbers"},
    "type.json": {"a float with zero fractional part is an integer":
                  "spelling of numbers"},
    "vocabulary.json": {"no validation: invalid number, but it still validates":
                        "$schema is not read"},
    "optional/format/date-time.json": {
        "a valid date-time with a leap second, UTC": "format",
        "a valid date-time with a leap second, with minus offset": "format",
        "case-insensitive T and Z": "format",
        "a second fraction of fifteen nines is valid": "format"},
    "optional/format/duration.json": {
        "a component with many digits is valid": "format"},
    "optional/format/email.json": {
        "a quoted string with a space in the local part is valid": "format",
        "a quoted string with a double dot in the local part is valid":
            "format",
        "a quoted string with a @ in the local part is valid": "format",
        "an IPv4-address-literal after the @ is valid": "format",
        "an IPv6-address-literal after the @ is valid": "format"},
    "optional/format/ipv6.json": {
        "mixed format with the ipv4 section as decimal octets": "format",
        "mixed format with double colons between the sections": "format",
        "mixed format with leading double colons (ipv4-mapped ipv6 address)":
            "format",
        "a long valid ipv6": "format"},
    "optional/format/time.json": {
        "a valid time string with leap second, Zulu": "format",
        "valid leap second, zero time-offset": "format",
        "valid leap second, positive time-offset": "format",
        "valid leap second, large positive time-offset": "format",
        "valid leap second, negative time-offset": "format",
        "valid leap second, large negative time-offset": "format",
        "a valid time string with case-insensitive Z": "format"},
    "optional/format/uri.json": {
        "a valid URL with many special characters": "format",
        "a valid URL": "format"},
}


def rule_of(name, test):
    # The standard leaves it to the reader whether a format is checked.
    if name == "format.json" and "only an annotation" in test["description"]:
        return "format is checked"
    if name == "optional/format/hostname.json" and "xn--" in str(test["data"]):
        return "format"
    return REFUSED.get(name, {}).get(test["description"])


def compare(checker, name, group, counts):
    texts = [json.dumps(test["data"], ensure_ascii=False,
                        separators=(",", ":")) for test in group["tests"]]
    answer = checker.ask(kind="json_schema", text=json.dumps(group["schema"]),
                         texts=texts)
    if "error" in answer:
        counts["schemas refused by their pointer"] += 1
        return []
    counts["schemas compiled"] += 1
    found = []
    for test, text, taken in zip(group["tests"], texts, answer["accepts"]):
        what = f"{name}: {group['description']}: {test['description']}: {text}"
        rule = rule_of(name, test)
        if taken == test["valid"]:
            counts["valid taken" if taken else "invalid refused"] += 1
        elif taken:
            counts["invalid taken"] += 1
            found.append(f"takes the invalid {what}")
        elif rule:
            counts[f"valid refused: {rule}"] += 1
        else:
            counts["valid refused without a rule"] += 1
            found.append(f"refuses the valid {what}")
    return found


def main(program, suite):
    folder = pathlib.Path(suite) / "tests/draft2020-12"
    files = sorted([*folder.glob("*.json"),
                    *folder.glob("optional/format/*.json")])
    if not files:
        print(f"{folder} has no files")
        return 2
    checker = compare_with_jsonschema.Checker(program)
    counts = collections.Counter()
    found = []
    for file in files:
        name = str(file.relative_to(folder))
        for group in json.loads(file.read_text(encoding="utf-8")):
            found += compare(checker, name, group, counts)
    for line in found:
        print(line)
    for kind, count in sorted(counts.items()):
        print(f"{count:5} {kind}")
    return 1 if checker.close() != 0 or found else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
