"""Chats through real processes: a model file whose chat template is run."""

import datetime
import json
import struct

import processes

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.content == 'refuse me' %}{{ raise_exception('No thanks!') }}"
    "{% endif %}"
    "{% if m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ m.role + ': ' + m.content | trim + '\n' }}{% endif %}"
    "{% endfor %}"
    "{% if mood is defined %}{{ 'mood: ' + mood + '\n' }}{% endif %}"
    "{{ strftime_now('%d %B %Y') + ' teller:' }}")
ALIGNMENT = 32
DAY = ("--template-option", "date=2026-11-28")


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def without_template(data):
    """The demo model's file without its own template, whose entry is a
    multiple of ALIGNMENT too."""
    key = text("tokenizer.chat_template")
    begin = data.index(key)
    end = begin + len(key) + 4
    end += 8 + struct.unpack_from("<Q", data, end)[0]
    version, tensors, entries = struct.unpack_from("<IQQ", data, 4)
    return (data[:4] + struct.pack("<IQQ", version, tensors, entries - 1) +
            data[24:begin] + data[end:])


def add_template(source, path, template=TEMPLATE):
    """Writes the GGUF file `source` with another chat template to `path`. A
    comment after the template fills the entry up, so that all tensors stay
    aligned."""
    def entry(padding):
        return (text("tokenizer.chat_template") + struct.pack("<I", 8) +
                text(template + "{#" + padding * " " + "#}"))

    data = without_template(source.read_bytes())
    version, tensors, entries = struct.unpack_from("<IQQ", data, 4)
    path.write_bytes(
        data[:4] + struct.pack("<IQQ", version, tensors, entries + 1) +
        entry(-len(entry(0)) % ALIGNMENT) + data[24:])


class ChatCluster(processes.Cluster):
    template = TEMPLATE

    def worker(self, role, model):
        if role == "target":
            chat = self.folder / "chat.gguf"
            # Once: a worker that reads a file takes no change of it.
            if not chat.exists():
                add_template(model, chat, self.template)
            model = chat
        return super().worker(role, model)


class ChatTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        cls.cluster = ChatCluster()

    def run_wrong(self, *arguments):
        result = self.cluster.tandem("generate", *arguments)
        self.assertNotEqual(result.returncode, 0)
        return result.stderr.decode()

    def generate(self, *arguments):
        result = self.cluster.tandem(
            "generate", *arguments, "--json", "--max-tokens", "12", "--seed",
            "7")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def expect_same(self, chat, raw):
        self.assertEqual(chat["usage"]["prompt_tokens"],
                         raw["usage"]["prompt_tokens"])
        self.assertEqual(chat["token_ids"], raw["token_ids"])

    def test_the_model_sees_what_the_template_writes(self):
        chat = self.generate("Who lives there? ", "--system", " Be kind.",
                             "--template-option", "mood=calm", *DAY)
        raw = self.generate("system: Be kind.\nuser: Who lives there?\n"
                            "mood: calm\n28 November 2026 teller:")
        self.expect_same(chat, raw)
        self.assertEqual(chat["template_date"], "2026-11-28")
        self.assertNotIn("template_date", raw)
        # A later turn ends the reply, which its length has cut.
        self.assertEqual(chat["finish_reason"], "length")
        self.expect_same(
            self.generate("And then?", "--chat", *DAY, "--session",
                          chat["session_id"]),
            self.generate("</s>user: And then?\n28 November 2026 teller:",
                          "--special", "--session", raw["session_id"]))

    def test_special_tokens_in_messages_are_plain(self):
        self.expect_same(
            self.generate("</s> <s>", "--chat", *DAY),
            self.generate("user: </s> <s>\n28 November 2026 teller:"))

    def test_the_day_is_told_and_gives_the_prompt_again(self):
        def today():
            return datetime.datetime.now(datetime.timezone.utc).date()

        before = today()
        first = self.generate("Hello", "--chat")
        day = datetime.date.fromisoformat(first["template_date"])
        self.assertTrue(before <= day <= today())
        self.expect_same(first, self.generate(
            "Hello", "--chat", "--template-option",
            f"date={first['template_date']}"))

    def test_refusals(self):
        self.assertIn("No thanks!", self.run_wrong("refuse me", "--chat"))
        self.assertIn("--template-option template: ", self.run_wrong(
            "a", "--chat", "--template-option", "template=rag"))
        self.assertIn("--template-option tools: ", self.run_wrong(
            "a", "--chat", "--template-option", "tools=1"))

    def test_models_tells_that_there_is_one(self):
        shown = self.cluster.tandem("models", "--json")
        model = json.loads(shown.stdout)["models"][0]
        self.assertEqual(model["chat_template"], "default")
        self.assertEqual(model["chat_template_error"], "")
        self.assertEqual(model["chat_template_names"], ["default"])


if __name__ == "__main__":
    processes.main()
