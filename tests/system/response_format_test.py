"""Replies with a response_format: they parse and validate, and they have the
same tokens for each way of drafting, with neighbours, and when a worker dies in
the middle. By jsonschema for Python, which knows nothing of tandem.

TANDEM_TEST_SEED takes other schemas, TANDEM_SCHEMAS more of them.
"""

import concurrent.futures
import datetime
import json
import os
import random
import re
import tempfile

import grpc
import jsonschema

import processes
import turns
from processes import Cluster
from turns import pb2

SEED = os.environ.get("TANDEM_TEST_SEED", "1")
SCHEMAS = int(os.environ.get("TANDEM_SCHEMAS", "16"))
NEIGHBOURS = 8

# All that models may say, as often as they would say it.
WARM = {"temperature": 1, "top_k": 0, "top_p": 1, "repetition_penalty": 1}
# More than the schemas' longest texts take, but for white space.
TOKENS_MAX = 700
WAYS = ({"draft_length": 0}, {"draft_length": 1}, {"draft_length": 4},
        {"draft_length": 8}, {},
        {"draft_sources": "DRAFT_SOURCES_LOOKUP"})
PROMPTS = ("Once upon a time there was a king who had three daughters. ",
           '{"name": "wolf", "age": 7}\n{"name": "fox", "age": 3}\n',
           "The answer is: ")

FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


# The package leaves it to another one, which Debian has not.
@FORMATS.checks("time", raises=ValueError)
def is_time(value):
    return not isinstance(value, str) or (
        datetime.time.fromisoformat(value).tzinfo is not None)


COMPLETE = (pb2.FINISH_REASON_GRAMMAR_END, pb2.FINISH_REASON_STOP_TOKEN)


def make_schema(draw, depth=0):
    """One whose texts are short."""
    kinds = ["string", "integer", "number", "boolean", "enum", "pattern",
             "format"] + ["object", "array", "anyOf"] * (depth < 2)
    kind = "object" if depth == 0 else draw.choice(kinds)
    if kind == "string":
        return {"type": "string", "minLength": draw.randint(0, 2),
                "maxLength": draw.randint(2, 12)}
    if kind == "integer":
        return {"type": "integer", "minimum": draw.randint(-99, 0),
                "maximum": draw.randint(1, 5000)}
    if kind == "number":
        return {"type": "number", "minimum": 0,
                "exclusiveMaximum": draw.choice((1, 10, 0.5)),
                } if draw.random() < 0.5 else {"enum": [0.5, 1.25, -3]}
    if kind == "boolean":
        return {"type": ["boolean", "null"]}
    if kind == "enum":
        return {"enum": draw.sample(
            ["red", "blue", 3, None, True, "\u00e9"], 3)}
    if kind == "pattern":
        return {"type": "string",
                "pattern": draw.choice(("^[a-f]{2,8}$", "^(the )?king|fox$",
                                        "^\\d{4}-\\d{2}$"))}
    if kind == "format":
        return {"type": "string",
                "format": draw.choice(("date", "time", "ipv4", "uuid"))}
    if kind == "array":
        return {"type": "array", "items": make_schema(draw, depth + 1),
                "minItems": draw.randint(0, 1), "maxItems": draw.randint(1, 3)}
    if kind == "anyOf":
        return {"anyOf": [make_schema(draw, depth + 1) for _ in range(2)]}
    names = draw.sample(["name", "age", "a b", "tags", "n\u00e9e", "x"],
                        draw.randint(1, 4))
    return {"type": "object", "additionalProperties": False,
            "properties": {name: make_schema(draw, depth + 1)
                           for name in names},
            "required": draw.sample(names, draw.randint(0, len(names)))}


def make_turns():
    """Turns as far as their text depends on them, and the schema of each."""
    draw = random.Random(f"{SEED} schemas")
    made = []
    for number in range(SCHEMAS):
        schema = make_schema(draw)
        options = {**WARM, "seed": draw.getrandbits(64),
                   "max_tokens": TOKENS_MAX,
                   "response_format": {"json_schema": json.dumps(schema)}}
        if number % 4 == 1:
            options.update(turns.PENALTIES, logprobs=2)
        if number % 4 == 2:
            options["min_tokens"] = 20
        if number % 4 == 3:
            options["temperature"] = 0
        made.append((schema, pb2.TurnRequest(
            text=draw.choice(PROMPTS), options=options)))
    return made


def drafted(turn, way):
    asked = pb2.TurnRequest(options=way)
    asked.MergeFrom(turn)
    return asked


class ResponseFormatTest(processes.ClusterTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(targets=2)
        cls.stub = turns.connect(cls, cls.cluster.coordinator)
        cls.turns = make_turns()
        cls.plain = [turns.generate(cls.stub, drafted(turn, WAYS[0]))
                     for _, turn in cls.turns]

    def check(self, number, answer):
        """The answer is that of the plain turn."""
        plain = self.plain[number]
        self.assertEqual(answer.ids, plain.ids)
        self.assertEqual(answer.text, plain.text)
        self.assertEqual(answer.logprobs, plain.logprobs)
        self.assertEqual(answer.ended.finish_reason,
                         plain.ended.finish_reason)

    def test_texts_validate(self):
        complete = 0
        for (schema, _), answer in zip(self.turns, self.plain):
            if answer.ended.finish_reason not in COMPLETE:
                self.assertEqual(answer.ended.finish_reason,
                                 pb2.FINISH_REASON_LENGTH)
                continue
            complete += 1
            value = json.loads(answer.text)
            jsonschema.Draft202012Validator(
                schema, format_checker=FORMATS).validate(value)
        # White space alone makes a text long.
        self.assertGreaterEqual(complete, 0.75 * SCHEMAS)

    def test_each_way_of_drafting_has_the_same_tokens(self):
        accepted = 0
        with concurrent.futures.ThreadPoolExecutor(NEIGHBOURS) as pool:
            running = [(number, pool.submit(turns.generate, self.stub,
                                            drafted(turn, way)))
                       for way in WAYS[1:]
                       for number, (_, turn) in enumerate(self.turns)]
            for number, future in running:
                answer = future.result()
                self.check(number, answer)
                accepted += answer.ended.speculation.accepted_tokens
        self.assertGreater(accepted, 0)

    def test_a_worker_that_dies_in_the_middle(self):
        moves = 0
        for number, (_, turn) in enumerate(self.turns[:8]):
            answer = turns.outlive_a_target(
                self.cluster, self.stub,
                drafted(turn, WAYS[number % len(WAYS)]),
                max(1, len(self.plain[number].ids) // 2))
            self.check(number, answer)
            moves += answer.ended.moves
        # Else the test would prove nothing.
        self.assertGreater(moves, 0)

    def test_other_formats(self):
        for form, pattern in (
                ({"regex": "(yes|no), [a-z]{3,9}[.!]"},
                 "(yes|no), [a-z]{3,9}[.!]"),
                ({"choices": {"texts": ["a wolf", "a fox", "nobody"]}},
                 "a wolf|a fox|nobody"),
                ({"grammar": "root ::= \"[\" item (\",\" item)* \"]\"\n"
                             "item ::= [0-9]{1,3}"},
                 r"\[[0-9]{1,3}(,[0-9]{1,3})*\]")):
            for seed in range(3):
                turn = pb2.TurnRequest(text=PROMPTS[seed], options={
                    **WARM, "seed": seed, "max_tokens": TOKENS_MAX,
                    "response_format": form})
                answers = [turns.generate(self.stub, drafted(turn, way))
                           for way in WAYS]
                for answer in answers:
                    self.assertEqual(answer.ids, answers[0].ids)
                if answers[0].ended.finish_reason in COMPLETE:
                    self.assertRegex(answers[0].text, f"^({pattern})$")

    def test_a_stop_string_cuts_the_text(self):
        turn = pb2.TurnRequest(text="x", options={
            **WARM, "seed": 1, "max_tokens": TOKENS_MAX, "stop_strings": ["b"],
            "response_format": {"regex": "[ac]{0,4}b[ac]{4}"}})
        answer = turns.generate(self.stub, turn)
        self.assertEqual(answer.ended.finish_reason,
                         pb2.FINISH_REASON_STOP_STRING)
        self.assertRegex(answer.text, "^[ac]{0,4}$")

    def test_what_can_not_be_is_refused_by_its_place(self):
        for form, words in (
                ({"json_schema": '{"properties": {"a": {"not": {}}}}'},
                 "/properties/a"),
                ({"json_schema": '{"type": "integer", "minimum": 2, '
                                 '"maximum": 1}'}, "json_schema"),
                ({"regex": "ab(?=c)"}, "character 3"),
                ({"grammar": "root ::= \"a\" missing"}, "line 1"),
                ({"choices": {}}, "choices")):
            turn = pb2.TurnRequest(text="x", options={"response_format": form})
            with self.assertRaises(grpc.RpcError) as raised:
                turns.generate(self.stub, turn)
            self.assertEqual(raised.exception.code(),
                             grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(words, raised.exception.details())

    def test_bad_sources_cost_nobody_else(self):
        """They are refused within bounded time, while others go on."""
        bad = ({"json_schema": '{"a":' * 10_000 + "1" + "}" * 10_000},
               {"json_schema": '{"enum": [' + ",".join(
                   map(str, range(200_000))) + "]}"},
               {"regex": "(" * 5000 + "a" + ")" * 5000},
               {"grammar": "root ::= root \"a\" | \"b\""},
               {"grammar": "root ::= a\n" + "".join(
                   f"r{i} ::= r{i + 1} r{i + 1}\n" for i in range(5000))})
        with concurrent.futures.ThreadPoolExecutor(len(bad)) as pool:
            running = [pool.submit(turns.generate, self.stub, pb2.TurnRequest(
                text="x", options={"response_format": form,
                                   "max_tokens": 1})) for form in bad]
            # This one is none of them: counts are not written out.
            turns.generate(self.stub, pb2.TurnRequest(text="x", options={
                "max_tokens": 1, "response_format": {
                    "regex": "((a{1,1000}){1,1000}){1,1000}b" * 50}}))
            answer = turns.generate(self.stub, self.turns[0][1])
            self.check(0, answer)
            for future in running:
                with self.assertRaises(grpc.RpcError) as raised:
                    future.result()
                self.assertEqual(raised.exception.code(),
                                 grpc.StatusCode.INVALID_ARGUMENT)

    def test_the_command_line(self):
        schema = {"type": "object", "required": ["age"],
                  "additionalProperties": False,
                  "properties": {"age": {"type": "integer", "minimum": 0,
                                         "maximum": 99}}}
        with tempfile.TemporaryDirectory() as folder:
            file = f"{folder}/schema.json"
            with open(file, "w", encoding="utf-8") as out:
                json.dump(schema, out)
            shown = self.cluster.tandem("generate", "x", "--seed", "1",
                                        "--json", "--json-schema", file)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            reply = json.loads(shown.stdout)
            self.assertEqual(reply["finish_reason"], "grammar_end")
            jsonschema.validate(json.loads(reply["text"]), schema)
            alone = processes.tandem("run", processes.TARGET_MODEL, "x",
                                     "--seed", "1", "--json", "--json-schema",
                                     file)
            self.assertEqual(json.loads(alone.stdout)["token_ids"],
                             reply["token_ids"], alone.stderr)
            with open(file, "w", encoding="utf-8") as out:
                out.write('{"properties": {"a": {"not": {}}}}')
            refused = self.cluster.tandem("generate", "x", "--json-schema",
                                          file)
            self.assertEqual(refused.returncode, 2)
            self.assertIn(b"--json-schema: /properties/a", refused.stderr)
        chosen = self.cluster.tandem("generate", "x", "--choice", "yes",
                                     "--choice", "no")
        self.assertIn(chosen.stdout, (b"yes\n", b"no\n"))
        matched = self.cluster.tandem("generate", "x", "--regex", "[ab]{3}")
        self.assertTrue(re.fullmatch(b"[ab]{3}\n", matched.stdout))
        both = self.cluster.tandem("generate", "x", "--json-object",
                                   "--regex", "a")
        self.assertIn(b"do not go together", both.stderr)


if __name__ == "__main__":
    processes.main()
