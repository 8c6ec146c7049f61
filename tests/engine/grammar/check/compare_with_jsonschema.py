"""Compares grammars of JSON Schemas with the jsonschema package for Python, by
the cases of schema_cases.py and by random texts: every text that a grammar
takes is valid; every valid value is taken in its usual serialisations, unless a
rule says why not. Run by the test that has the path of tandem-check-grammar:

    compare_with_jsonschema.py PROGRAM

Prints what differs; exits 77 where the package is missing."""

import datetime
import json
import random
import re
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("the package jsonschema is missing")
    sys.exit(77)

import schema_cases

SAMPLES = 30
RANDOM_SCHEMAS = 300

FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


# The package leaves it to another one, which Debian has not.
@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(value):
    if not isinstance(value, str):
        return True
    form = r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
    if not re.fullmatch(form, value, re.ASCII):
        return False
    return bool(datetime.datetime.fromisoformat(value.upper()))


class Checker:
    """The process that compiles and reads grammars."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            encoding="utf-8")

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def texts_of(value):
    """The serialisations of a case's value; "T..." is the text itself."""
    if isinstance(value, str) and value.startswith("T"):
        return [value[1:]]
    return serialisations(value)


def serialisations(value):
    return sorted({
        json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        json.dumps(value, ensure_ascii=False),
        json.dumps(value, ensure_ascii=False, indent=2)})


def is_valid(validator, text):
    return validator.is_valid(json.loads(text))


def differences(checker, number, case):
    keyword, schema, valid, rejected, invalid = case
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=FORMATS)
    name = f"{keyword} (case {number})"
    wanted = {}
    for value in valid:
        wanted.update((text, (True, True)) for text in texts_of(value))
    wanted.update((text, (True, False)) for text in rejected)
    for value in invalid:
        wanted.update((text, (False, False)) for text in texts_of(value))
    answer = checker.ask(kind="json_schema", text=json.dumps(schema),
                         texts=list(wanted), samples=SAMPLES, seed=number)
    if "error" in answer:
        return [f"{name}: {answer['error']}"]
    found = []
    for (text, (valid_wanted, taken_wanted)), taken in zip(wanted.items(),
                                                          answer["accepts"]):
        if is_valid(validator, text) != valid_wanted:
            found.append(f"{name}: jsonschema says otherwise of {text}")
        if taken != taken_wanted:
            found.append(f"{name}: {'takes' if taken else 'refuses'} {text}")
    for text in answer["samples"]:
        if not is_valid(validator, text):
            found.append(f"{name}: takes the invalid {text}")
    if not answer["samples"]:
        found.append(f"{name}: no random text ended")
    return found


def random_schema(draw, depth):
    """A schema of the supported keywords that some value matches."""
    low = draw.randint(-50, 50)
    count = draw.randint(0, 3)
    kinds = [
        lambda: {"type": "integer", "minimum": low,
                 "maximum": low + draw.randint(0, 200)},
        lambda: {"type": "number", "exclusiveMinimum": low / 4,
                 "maximum": low / 4 + draw.randint(1, 50) / 8},
        lambda: {"type": "number"},
        lambda: {"type": "string", "minLength": count,
                 "maxLength": count + draw.randint(0, 60)},
        lambda: {"type": "string", "pattern": draw.choice(
            ["^[a-f]{2,8}$", "x.*y", "^(ab|c)+$", "[0-9]{3}", "^[^ ]+ \\w*$"])},
        lambda: {"type": "string", "pattern": "[a-m]", "maxLength": 9,
                 "minLength": 1},
        lambda: {"type": ["null", "boolean"]},
        lambda: {"enum": draw.sample([1, "a", None, True, "\u00e9\n", -7], 3)},
        lambda: {"type": "string", "format": draw.choice(
            ["date", "date-time", "ipv4", "ipv6", "uuid"])},
    ]
    if depth > 0:
        def inner():
            return random_schema(draw, depth - 1)

        def names():
            return draw.sample(["a", "b", "ab", "\u00e9", "a\"", "", "long_name"],
                               draw.randint(1, 4))

        def an_object():
            chosen = names()
            return {"type": "object",
                    "properties": {name: inner() for name in chosen},
                    "required": draw.sample(chosen, draw.randint(0, 1)),
                    "additionalProperties": draw.choice([True, False, inner()])}

        kinds = kinds[:4] + [
            an_object, an_object, an_object,
            lambda: {"type": "array", "items": inner(), "minItems": count,
                     "maxItems": count + draw.randint(0, 40)},
            lambda: {"type": "array", "prefixItems": [inner(), inner()],
                     "items": draw.choice([False, inner()]),
                     "minItems": draw.randint(0, 2)},
            lambda: {"anyOf": [inner(), inner(), inner()]},
            lambda: {"allOf": [an_object(), {"properties": {"a": {}}}]},
            lambda: {"oneOf": [{"type": "null"}, dict(an_object())]},
        ]
    return draw.choice(kinds)()


def random_differences(checker, seed):
    schema = random_schema(random.Random(seed), 3)
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=FORMATS)
    request = {"kind": "json_schema", "text": json.dumps(schema)}
    answer = checker.ask(samples=10, seed=seed, **request)
    name = f"random schema {seed}, {json.dumps(schema)}"
    if "error" in answer:
        return [f"{name}: {answer['error']}"]
    found = [f"{name}: takes the invalid {text}" for text in answer["samples"]
             if not is_valid(validator, text)]
    # The same values in other serialisations; Python spells floats anew.
    values = [json.loads(text) for text in answer["samples"]
              if "." not in text and "e" not in text.lower()]
    texts = [text for value in values for text in serialisations(value)]
    taken = checker.ask(texts=texts, **request)["accepts"]
    return found + [f"{name}: refuses {text}"
                    for text, accepted in zip(texts, taken) if not accepted]


def main(program):
    checker = Checker(program)
    found = []
    for number, case in enumerate(schema_cases.CASES):
        found += differences(checker, number, case)
    for seed in range(RANDOM_SCHEMAS):
        found += random_differences(checker, seed)
    for line in found:
        print(line)
    return 1 if checker.close() != 0 or found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
