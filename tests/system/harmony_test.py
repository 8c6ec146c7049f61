"""Turns of a model that replies in channels, as gpt-oss does, on real processes:
the demo pair with the control tokens of such replies in its vocabulary, and a
template that writes them. An answer or a call comes in its parts, the same for
each way of drafting, and a client's format stands in the answer's channel."""

import json
import struct

import jsonschema

import chat_test
import processes
import tools_test
import turns
from turns import pb2

TEMPLATE = (
    "{{ bos_token }}{% for tool in tools or [] %}{{ (tool | tojson) + '\n' }}"
    "{% endfor %}{% for m in messages %}"
    "{{ '<|start|>' + m.role }}{% if m.tool_calls %}"
    "{% set call = m.tool_calls[0].function %}"
    "{{ ' to=functions.' + call.name + '<|channel|>commentary json<|message|>'"
    " + (call.arguments | tojson) + '<|call|>' }}"
    "{% elif m.role == 'assistant' %}"
    "{{ '<|channel|>final<|message|>' + m.content + '<|end|>' }}"
    "{% else %}{{ '<|message|>' + m.content + '<|end|>' }}{% endif %}"
    "{% endfor %}{{ '<|start|>assistant' }}")
CONTROLS = ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>",
            "<|return|>")
CONTROL_TYPE = 3
# The id of "<|end|>": 4,096 pieces, of which the last fills up. The demo model
# would not end its reasoning.
END = 4096 - 1 - len(CONTROLS) + CONTROLS.index("<|end|>")
ENDS = {"logit_bias": [{"token_id": END, "bias": 30}]}


def make_turn(seed, options=None, **more):
    return tools_test.make_turn(seed, {**ENDS, **(options or {})}, **more)


def with_controls(data):
    """A demo model's file whose last pieces are control tokens. One more that
    nobody names fills up, so that all tensors stay aligned."""
    key = chat_test.text("tokenizer.ggml.tokens")
    places = [data.index(key) + len(key) + 16]
    for _ in range(struct.unpack_from("<Q", data, places[0] - 8)[0]):
        places.append(places[-1] + 8 +
                      struct.unpack_from("<Q", data, places[-1])[0])
    begin, end = places[-2 - len(CONTROLS)], places[-1]
    names = b"".join(map(chat_test.text, CONTROLS))
    padding = (end - begin - len(names) - 9) % chat_test.ALIGNMENT + 1
    data = data[:begin] + names + chat_test.text("." * padding) + data[end:]
    key = chat_test.text("tokenizer.ggml.token_type")
    types = data.index(key) + len(key) + 16 + 4 * (len(places) - 1)
    changed = len(CONTROLS) + 1
    return (data[:types - 4 * changed] +
            struct.pack(f"<{changed}i", *[CONTROL_TYPE] * changed) +
            data[types:])


class HarmonyCluster(processes.Cluster):

    def worker(self, role, model):
        own = self.folder / f"{role}.gguf"
        # Once: a worker that reads a file takes no change of it.
        if not own.exists():
            own.write_bytes(with_controls(model.read_bytes()))
            if role == "target":
                chat_test.add_template(own, own, TEMPLATE)
        return super().worker(role, own)


class HarmonyTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        cls.cluster = HarmonyCluster()
        cls.stub = turns.connect(cls, cls.cluster.coordinator)

    def answers(self, seed, **more):
        """The answer to a turn, which is the same for each way of drafting."""
        first, *others = (turns.generate(self.stub, make_turn(
            seed, way, **more)) for way in tools_test.WAYS)
        for other in others:
            self.assertEqual(other.ids, first.ids)
            self.assertEqual(other.reasoning, first.reasoning)
            self.assertEqual(other.content, first.content)
            self.assertEqual([call[1:] for call in other.calls],
                             [call[1:] for call in first.calls])
        return first

    def test_a_required_call_is_what_its_schema_takes(self):
        for seed in range(3):
            answer = self.answers(seed)
            self.assertEqual(answer.content, "")
            self.assertIn(answer.ended.finish_reason, tools_test.WHOLE)
            (_, name, arguments), = answer.calls
            jsonschema.validate(json.loads(arguments),
                                tools_test.SCHEMAS[name])

    def test_a_call_and_its_result_go_on(self):
        turn = make_turn(1)
        called = turns.generate(self.stub, turn)
        self.assertIn(called.ended.finish_reason, tools_test.WHOLE)
        call_id, name, arguments = called.calls[0]
        result = pb2.ChatMessage(role=pb2.CHAT_ROLE_TOOL, content="rain",
                                 tool_call_id=call_id, name=name)
        turn.tool_choice = pb2.TOOL_CHOICE_NONE
        turn.tool_calls_max = 0
        turn.messages.messages.append(pb2.ChatMessage(
            role=pb2.CHAT_ROLE_ASSISTANT, tool_calls=[pb2.ToolCall(
                id=call_id, name=name, arguments=arguments)]))
        turn.messages.messages.append(result)
        told = turns.generate(self.stub, turn)
        self.assertEqual(told.calls, [])
        self.assertNotEqual(told.content + told.reasoning, "")
        del turn.messages.messages[:]
        turn.messages.messages.append(result)
        turn.session_id = called.started.session_id
        more = turns.generate(self.stub, turn)
        self.assertEqual(more.started.turn, 2)
        self.assertEqual(more.calls, [])

    def test_a_format_stands_in_the_final_channel(self):
        for seed in range(4):
            answer = turns.generate(self.stub, pb2.TurnRequest(
                messages=tools_test.user("Well?"), split_reply=True,
                options={**tools_test.WARM, **ENDS, "seed": seed,
                         "max_tokens": 100, "response_format": {
                             "choices": {"texts": ["yes", "no"]}}}))
            self.assertIn(answer.ended.finish_reason, tools_test.WHOLE)
            self.assertIn(answer.content, ("yes", "no"))

    def test_the_model_is_listed_with_its_format(self):
        shown = json.loads(self.cluster.tandem("models", "--json").stdout)
        self.assertEqual(shown["models"][0]["tool_format"], "harmony")
        self.assertTrue(shown["models"][0]["has_reasoning"])


if __name__ == "__main__":
    processes.main()
