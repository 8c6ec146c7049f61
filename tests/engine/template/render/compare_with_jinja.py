"""Compares our renderings with those of Jinja, byte by byte.

Usage: compare_with_jinja.py PROGRAM templates FOLDER
       compare_with_jinja.py PROGRAM snippets FILE

PROGRAM is tandem-render-template (main.cc). With `templates`, each *.jinja of
FOLDER renders each conversation with each set of options; with `snippets`, each
line of FILE is a template of its own. Jinja's environment is the one in which
chat templates are run by the libraries that models are published for.
"""

import datetime
import functools
import json
import pathlib
import subprocess
import sys

import jinja2.exceptions
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

NOW = datetime.datetime(2026, 11, 8, 9, 5, 3, tzinfo=datetime.timezone.utc)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
          "pad_token": "<pad>"}

TOOL = {"type": "function", "function": {
    "name": "find", "description": "Finds \"things\" <here>",
    "parameters": {"type": "object", "required": ["what"], "properties": {
        "what": {"type": "string", "enum": ["a", "b"]},
        "count": {"type": "integer", "nullable": True},
        "tags": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object", "properties": {
            "deep": {"type": ["string", "null"]}}}}}}}

OPTIONS = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": False},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"add_generation_prompt": True, "enable_thinking": True,
     "reasoning_effort": "high", "detailed_thinking": True},
    {"add_generation_prompt": True, "date_string": "01 Jan 2025"},
    {"add_generation_prompt": True, "tools": [TOOL]},
]


def message(role, content):
    return {"role": role, "content": content}


CONVERSATIONS = [
    [message("user", "Hello")],
    [message("system", "Be brief."), message("user", "Hello")],
    [message("user", "Hello"), message("assistant", "Hi!"),
     message("user", "And now?")],
    [message("user", "Hello"), message("assistant", "Hi!")],
    [message("system", " \n Be brief. \n"), message("user", " \n Hello \n\n"),
     message("assistant", "\t Hi! \n "), message("user", "\r\n now? ")],
    [message("system", "\u3000Be brief.\u3000"),
     message("user", "\u3000Hello\u3000"),
     message("assistant", "\u3000Hi!\u3000"), message("user", "\u3000\u00a0?")],
    [message("system", ""), message("user", "Hello")],
    [message("user", "")],
    [message("user", "q"), message("assistant", "<think>\nwhy\n</think>\n\nso"),
     message("user", "<|im_end|>{{ 1 }}</s>'\"\\ \u00e9\U0001f600")],
    [message("user", "one"), message("user", "two")],
    [message("assistant", "first"), message("user", "two")],
    [message("system", "a"), message("user", "b"), message("system", "c"),
     message("user", "d")],
]

# What schemas have that templates write in ways of their own.
TOOLS = [TOOL, {"type": "function", "function": {
    "name": "get_weather", "description": "",
    "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {
        "name": "set-it.now", "description": "Sets it.\n<|im_end|> \u00e9",
        "parameters": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object", "additionalProperties": False,
            "properties": {
                "z": {"type": "number", "minimum": -0.5, "maximum": 1e21,
                      "default": 1.0, "description": "Of what?"},
                "items": {"type": "array", "items": {
                    "type": "array", "items": {"type": "number"}}},
                "keys": {"oneOf": [
                    {"type": "string", "description": "a", "default": "x"},
                    {"type": "null"}, {"type": "array"}], "default": "y"},
                "mode": {"type": "string", "enum": ["a", "b\"c"],
                         "default": "a", "nullable": True},
                "flag": {"type": "boolean", "default": False},
                "list": {"type": "array", "nullable": True, "minItems": 1,
                         "items": {"type": "object", "required": ["k"],
                                   "properties": {"k": {"type": "string"},
                                                  "l": {"type": ["string"]}}}},
                "any": {}},
            "required": ["z", "mode"]}}}]

TOOL_OPTIONS = [
    {"add_generation_prompt": True},
    {"add_generation_prompt": True, "tools": TOOLS},
    {"add_generation_prompt": False, "tools": TOOLS[1:2],
     "enable_thinking": False},
    {"add_generation_prompt": True, "tools": TOOLS,
     "tools_in_user_message": False, "builtin_tools": "find,code_interpreter",
     "controls": {"length": "short"}, "reasoning_effort": "low"},
]

ARGUMENTS = [
    {}, {"what": "a", "count": 3},
    {"z": -0.25, "items": [[1, 2.5], []], "flag": True, "none": None,
     "deep": {"k": {"l": ["<|im_end|>", "\u00e9\n\"'\\"]}}, "\u3000": 1e-7},
]


def call(index, identifier=None):
    """The call with these of ARGUMENTS."""
    made = {} if identifier is None else {"id": identifier}
    return {**made, "type": "function", "function": {
        "name": TOOLS[index]["function"]["name"],
        "arguments": ARGUMENTS[index]}}


def calling(calls, content="", **more):
    return {**message("assistant", content), **more, "tool_calls": calls}


def result(content, **more):
    return {**message("tool", content), **more}


def with_text_arguments(messages):
    """In the form that some templates want: arguments as a text, no content."""
    changed = json.loads(json.dumps(messages))
    for one in changed:
        for made in one.get("tool_calls", []):
            function = made["function"]
            function["arguments"] = json.dumps(function["arguments"])
        if "tool_calls" in one and not one["content"]:
            one["content"] = None
    return changed


FIRST, SECOND = "call00001", "call00002"
ASKED = [message("user", "Look!"), calling([call(1, FIRST)])]
REASONED = {"reasoning_content": " why\n", "reasoning": " why\n",
            "thinking": " why\n"}
TOOL_CONVERSATIONS = [
    [message("user", "Hello")],
    [message("system", "Be brief."), message("user", " Hello\n")],
    [*ASKED, result("{\"t\": 21.5}", tool_call_id=FIRST, name="get_weather")],
    [*ASKED, result("", tool_call_id=FIRST)],
    [*ASKED, result("<tool_response> [1, 2]</s>\n\u00e9", tool_call_id=FIRST),
     message("assistant", "So."), message("user", "Go on.")],
    [message("system", "Be brief."), message("user", "Look!"),
     calling([call(0, FIRST), call(2, SECOND)], "I look. "),
     result("one", tool_call_id=FIRST), result("two", tool_call_id=SECOND)],
    [message("user", "Look!"), calling([call(2)]), result("three"),
     message("user", "And?")],
    [message("user", "Look!"), calling([call(2, FIRST)], **REASONED),
     result("[]", tool_call_id=FIRST, name="set-it.now"),
     calling([call(0, SECOND)], **REASONED),
     result("null", tool_call_id=SECOND, name="find")],
    [message("user", "Look!"), calling([call(0, FIRST)], "Both.", **REASONED),
     result("1", tool_call_id=FIRST)],
    [message("user", "Why?"), {**message("assistant", "So."), **REASONED},
     message("user", "Why, then?")],
    [message("user", "Why?"), {**message("assistant", "So."), **REASONED}],
    [{**message("user", "Hello"), "name": "Ann"}],
    [message("user", "Look!"), calling([call(1, "1")]),
     result("x", tool_call_id="1")],
    [message("user", "<tool_response>a</tool_response>"),
     calling([call(1, FIRST)]), result("x", tool_call_id=FIRST)],
    [result("from an earlier turn", tool_call_id=FIRST)],
]
TOOL_CONVERSATIONS += [with_text_arguments(messages)
                       for messages in TOOL_CONVERSATIONS[2:9]]

SNIPPET_VARIABLES = {
    "d": {"a": 1, "items": 3, "b": [1, 2], "B": "x"},
    "l": [1, 2, 3], "s": "Hello wOrld", "n": None, "f": 2.5, "t": True,
    "m": [message("user", " hi\u3000 "), message("assistant", "yo")],
    "u": "\u00e9\u00df\u3000<x>'\"\n\\",
}


class Generation(jinja2.ext.Extension):
    """{% generation %} marks what the model wrote; its body stands as it is."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"],
                                       drop_needle=True)
        call = self.call_method("_body")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def to_json(value, ensure_ascii=False, indent=None, separators=None,
            sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent,
                      separators=separators, sort_keys=sort_keys)


def raise_exception(text):
    raise jinja2.exceptions.TemplateError(text)


def make_environment():
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=[Generation, "jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = NOW.replace(tzinfo=None).strftime
    return environment


@functools.cache
def compiled(environment, source):
    return environment.from_string(source)


def expected(environment, case):
    """What Jinja renders; None and the error where it does not."""
    try:
        template = compiled(environment, case["source"])
        return template.render(**case["variables"]), None
    except Exception as error:  # whatever a template may run into
        return None, f"{type(error).__name__}: {error}"


def template_cases(folder):
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        for kind, conversations, all_options in (
                ("", CONVERSATIONS, OPTIONS),
                ("tool ", TOOL_CONVERSATIONS, TOOL_OPTIONS)):
            for i, messages in enumerate(conversations):
                for j, options in enumerate(all_options):
                    yield {"name": f"{path.name}, {kind}conversation {i}, "
                                   f"{kind}options {j}",
                           "source": source,
                           "variables": {**TOKENS, **options,
                                         "messages": messages}}


def snippet_cases(path):
    for line in pathlib.Path(path).read_text(encoding="utf-8").split("\n"):
        if line:
            yield {"name": line, "source": line.replace("\u2424", "\n"),
                   "variables": SNIPPET_VARIABLES}


def run(program, cases):
    lines = [json.dumps({"source": case["source"], "now": NOW.timestamp(),
                         "variables": case["variables"]}) for case in cases]
    done = subprocess.run([program], input="\n".join(lines) + "\n", text=True,
                          encoding="utf-8", capture_output=True, check=False)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if len(answers) != len(cases):
        sys.exit(f"{program} ended at: {cases[len(answers)]['name']}\n"
                 f"{done.stderr[-2000:]}")
    return answers


def main():
    program, kind, path = sys.argv[1:]
    make_cases = {"templates": template_cases, "snippets": snippet_cases}
    cases = list(make_cases[kind](path))
    environment = make_environment()
    rendered = 0
    different = 0
    for case, answer in zip(cases, run(program, cases)):
        want, error = expected(environment, case)
        got = None
        if "parts" in answer:
            got = "".join(text for text, _ in answer["parts"])
        rendered += want is not None
        if got != want:
            different += 1
            print(f"{case['name']}\n  want: {want!r} {error or ''}\n"
                  f"  got:  {got!r} {answer.get('error', '')}")
    print(f"{len(cases)} cases, {rendered} rendered, {different} different")
    sys.exit(1 if different or not rendered else 0)


if __name__ == "__main__":
    main()
