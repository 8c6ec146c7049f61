"""Turns with tools on real processes: calls are what their schemas take, replies
come in their parts, and both are the same for each way of drafting, when a
worker dies and when a client resumes. The model's template writes calls as that
of Hermes and Qwen does."""

import json
import tempfile

import grpc
import jsonschema

import chat_test
import processes
import turns
from turns import pb2

TEMPLATE = (
    "{{ bos_token }}{% if tools %}{{ 'Tools:\n' }}{% for tool in tools %}"
    "{{ (tool | tojson) + '\n' }}{% endfor %}{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ 'teller: ' }}"
    "{% if m.reasoning_content %}"
    "{{ '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}{% endif %}"
    "{{ m.content }}{% for call in m.tool_calls or [] %}"
    "{{ '\n<tool_call>\n{\"name\": \"' + call.function.name + "
    "'\", \"arguments\": ' + (call.function.arguments | tojson) + "
    "'}\n</tool_call>' }}{% endfor %}{{ eos_token + '\n' }}"
    "{% elif m.role == 'tool' %}"
    "{{ 'user: <tool_response>\n' + m.content + '\n</tool_response>\n' }}"
    "{% else %}{{ m.role + ': ' + m.content + '\n' }}{% endif %}{% endfor %}"
    "{{ 'teller: ' }}{% if think %}{{ '<think>\n' }}{% endif %}")
SCHEMAS = {
    "get_weather": {
        "type": "object", "additionalProperties": False,
        "properties": {"city": {"type": "string", "maxLength": 12},
                       "days": {"type": "integer", "minimum": 1,
                                "maximum": 7}},
        "required": ["city", "days"]},
    "choose": {
        "type": "object", "additionalProperties": False,
        "properties": {"animal": {"enum": ["wolf", "fox", "a \"bear\""]}},
        "required": ["animal"]}}
TOOLS = [pb2.Tool(name=name, description=f"Does {name}.",
                  parameters=json.dumps(schema))
         for name, schema in SCHEMAS.items()]
WARM = {"temperature": 1, "top_k": 0, "top_p": 1, "repetition_penalty": 1}
WAYS = ({"draft_length": 0}, {"draft_length": 4}, {},
        {"draft_sources": "DRAFT_SOURCES_LOOKUP"})
WHOLE = (pb2.FINISH_REASON_GRAMMAR_END, pb2.FINISH_REASON_STOP_TOKEN)


def user(content):
    return pb2.ChatMessages(messages=[
        pb2.ChatMessage(role=pb2.CHAT_ROLE_USER, content=content)])


def make_turn(seed, options=None, **more):
    return pb2.TurnRequest(**{
        "messages": user("What is the weather in Turku?"), "tools": TOOLS,
        "tool_choice": pb2.TOOL_CHOICE_REQUIRED, "tool_calls_max": 2,
        "options": {**WARM, "seed": seed, "max_tokens": 300,
                    **(options or {})}, **more})


class ToolsCluster(chat_test.ChatCluster):
    template = TEMPLATE


class ToolsTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        cls.cluster = ToolsCluster(targets=2)
        cls.stub = turns.connect(cls, cls.cluster.coordinator)

    def check_calls(self, answer):
        """All calls are whole and are what their tools take."""
        self.assertIn(answer.ended.finish_reason, WHOLE)
        self.assertGreaterEqual(len(answer.calls), 1)
        for call_id, name, arguments in answer.calls:
            self.assertTrue(call_id)
            jsonschema.validate(json.loads(arguments), SCHEMAS[name])
            self.assertIn(arguments, answer.text)

    def check_same(self, answer, plain):
        self.assertEqual(answer.ids, plain.ids)
        self.assertEqual(answer.text, plain.text)
        self.assertEqual(answer.content, plain.content)
        self.assertEqual(answer.reasoning, plain.reasoning)
        # Ids of calls are of the session.
        self.assertEqual([call[1:] for call in answer.calls],
                         [call[1:] for call in plain.calls])

    def test_calls_are_what_their_schemas_take(self):
        names = set()
        counts = set()
        for seed in range(12):
            answers = [turns.generate(self.stub, make_turn(seed, way))
                       for way in WAYS]
            self.check_calls(answers[0])
            self.assertEqual(answers[0].content.strip(), "")
            names.update(call[1] for call in answers[0].calls)
            counts.add(len(answers[0].calls))
            for answer in answers[1:]:
                self.check_same(answer, answers[0])
        self.assertEqual(names, set(SCHEMAS))
        self.assertLessEqual(max(counts), 2)

    def test_a_tool_by_its_name_is_called_once(self):
        for seed in range(12):
            answer = turns.generate(self.stub, make_turn(
                seed, tool_name="choose"))
            self.check_calls(answer)
            self.assertEqual([call[1] for call in answer.calls], ["choose"])

    def test_none_and_auto(self):
        for seed in range(4):
            answer = turns.generate(self.stub, make_turn(
                seed, {"max_tokens": 60}, tool_choice=pb2.TOOL_CHOICE_NONE,
                tool_calls_max=0))
            self.assertEqual(answer.calls, [])
            self.assertNotIn("<tool_call>", answer.text)
            self.assertEqual(answer.content.strip(), answer.text.strip())
            plain = turns.generate(self.stub, make_turn(
                seed, {"max_tokens": 60, "draft_length": 0},
                tool_choice=pb2.TOOL_CHOICE_AUTO))
            self.check_same(turns.generate(self.stub, make_turn(
                seed, {"max_tokens": 60},
                tool_choice=pb2.TOOL_CHOICE_AUTO)), plain)

    def test_a_worker_that_dies_in_the_middle(self):
        moves = 0
        for seed in range(3):
            plain = turns.generate(self.stub, make_turn(seed))
            answer = turns.outlive_a_target(self.cluster, self.stub,
                                            make_turn(seed),
                                            len(plain.ids) // 2)
            self.check_same(answer, plain)
            moves += answer.ended.moves
        self.assertGreater(moves, 0)

    def test_parts_go_on_after_a_resume(self):
        plain = turns.generate(self.stub, make_turn(1))
        for ids in range(1, len(plain.ids), 9):
            stream = turns.Stream(self.stub)
            answer = turns.Answer()
            stream.send(start=make_turn(1, {"draft_length": 0}))
            stream.read(answer, ids_max=ids)
            stream.drop()
            again = turns.Stream(self.stub)
            again.send(resume={
                "session_id": answer.started.session_id,
                "turn": answer.started.turn,
                "tokens_received": len(answer.ids),
                "text_bytes_received": len(answer.text.encode())})
            again.read(answer)
            again.close()
            self.check_same(answer, plain)

    def test_results_go_on_in_messages_and_in_the_session(self):
        first = turns.generate(self.stub, make_turn(1, tool_calls_max=1))
        call_id, name, arguments = first.calls[0]
        result = pb2.ChatMessage(role=pb2.CHAT_ROLE_TOOL, content="rain",
                                 tool_call_id=call_id, name=name)
        turn = make_turn(2, {"max_tokens": 20},
                         tool_choice=pb2.TOOL_CHOICE_NONE, tool_calls_max=0)
        turn.messages.messages.append(pb2.ChatMessage(
            role=pb2.CHAT_ROLE_ASSISTANT, tool_calls=[pb2.ToolCall(
                id=call_id, name=name, arguments=arguments)]))
        turn.messages.messages.append(result)
        told = turns.generate(self.stub, turn)
        self.assertGreater(told.started.prompt_tokens,
                           first.started.prompt_tokens)
        del turn.messages.messages[:]
        turn.messages.messages.append(result)
        turn.session_id = first.started.session_id
        more = turns.generate(self.stub, turn)
        self.assertEqual(more.started.turn, 2)
        self.assertGreater(more.started.prompt_tokens,
                           first.started.prompt_tokens + len(first.ids))

    def test_a_format_follows_a_first_part(self):
        """As it follows reasoning, whose end the demo model does not know."""
        complete = 0
        for seed in range(4):
            answers = [turns.generate(self.stub, pb2.TurnRequest(
                text="Once upon a time there was a king. ",
                options={**WARM, **way, "seed": seed, "max_tokens": 120,
                         "response_format": {
                             "preamble_end": ".",
                             "choices": {"texts": ["yes", "no"]}}}))
                       for way in WAYS]
            for answer in answers[1:]:
                self.check_same(answer, answers[0])
            if answers[0].ended.finish_reason in WHOLE:
                complete += 1
                self.assertRegex(answers[0].text, r"^[^.]*\.\s{0,2}(yes|no)$")
        self.assertGreater(complete, 0)

    def test_what_can_not_be_is_refused_by_its_field(self):
        def refused(turn):
            with self.assertRaises(grpc.RpcError) as raised:
                turns.generate(self.stub, turn)
            self.assertEqual(raised.exception.code(),
                             grpc.StatusCode.INVALID_ARGUMENT)
            return raised.exception.details()

        bad = make_turn(1)
        bad.tools[1].parameters = '{"type": "object", "not": {}}'
        self.assertIn("tools[1].parameters", refused(bad))
        twice = make_turn(1)
        twice.tools[1].name = twice.tools[0].name
        self.assertIn("tools[1].name", refused(twice))
        nobody = make_turn(1, tool_name="nobody")
        self.assertIn("tool_name", refused(nobody))
        text = make_turn(1)
        text.text = "x"
        self.assertIn("tools", refused(text))

    def test_the_command_line(self):
        shown = json.loads(self.cluster.tandem("models", "--json").stdout)
        self.assertEqual(shown["models"][0]["tool_format"], "hermes")
        with tempfile.TemporaryDirectory() as folder:
            tools = f"{folder}/tools.json"
            messages = f"{folder}/messages.json"
            with open(tools, "w", encoding="utf-8") as out:
                json.dump([{"type": "function", "function": {
                    "name": name, "parameters": schema}}
                    for name, schema in SCHEMAS.items()], out)
            with open(messages, "w", encoding="utf-8") as out:
                json.dump([{"role": "user", "content": "Weather?"}], out)
            result = self.cluster.tandem(
                "generate", "--messages", messages, "--tools", tools,
                "--tool-choice", "choose", "--seed", "4", "--json")
            self.assertEqual(result.returncode, 0, result.stderr)
            calls = json.loads(result.stdout)["reply"]["tool_calls"]
            self.assertEqual(calls[0]["name"], "choose")
            plain = self.cluster.tandem(
                "generate", "--messages", messages, "--tools", tools,
                "--tool-choice", "choose", "--seed", "4")
            self.assertIn(b'"name": "choose"'.replace(b" ", b""),
                          plain.stdout.replace(b" ", b""))


if __name__ == "__main__":
    processes.main()
