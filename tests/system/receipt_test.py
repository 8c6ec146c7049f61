"""Receipts and choices of real processes: a turn that is run again by its
receipt has the same tokens, wherever it runs, and a receipt is the same however
the turn came about.
"""

import hashlib
import json
import pathlib
import struct
import tempfile

import processes
import turns
from processes import Cluster
from turns import pb2

PROMPT = "Once upon a time there was a king"


def hash_of(ids):
    return hashlib.sha256(struct.pack(f"<{len(ids)}i", *ids)).hexdigest()


class ReceiptTest(processes.ClusterTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.stub = turns.connect(cls, cls.cluster.coordinator)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = pathlib.Path(folder.name) / "receipt.json"

    def run_ok(self, *arguments):
        result = self.cluster.tandem(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result.stdout.decode()

    def run_json(self, *arguments):
        return json.loads(self.run_ok(*arguments, "--json"))

    def ids_of(self, text, *flags):
        return self.run_json("tokenize", text, *flags)["token_ids"]

    def replay(self, code, *arguments):
        result = self.cluster.tandem("replay", self.file, *arguments)
        self.assertEqual(result.returncode, code, result)
        return (result.stdout if code == 0 else result.stderr).decode()

    def test_a_turn_is_replayed(self):
        for options in ([], ["--temperature", "0"], ["--choice-index", "5"],
                        ["--logit-bias", "300=-inf", "--stop", "king"],
                        ["--regex", "[a-z ]{5,9}"]):
            self.run_ok("generate", PROMPT, "--max-tokens", "40",
                        "--receipt", self.file, *options)
            self.assertIn("equal: ", self.replay(0, PROMPT))
        self.assertIn("another prompt: ", self.replay(1, PROMPT + "s"))

    def test_hashes_are_those_of_anybody(self):
        made = self.run_json("generate", PROMPT, "--max-tokens", "20")
        receipt = made["receipt"]
        self.assertEqual(receipt["tokens_hash"], hash_of(made["token_ids"]))
        prompt = self.ids_of(PROMPT)
        self.assertEqual(receipt["prompt_hash"], hash_of(prompt))
        self.assertEqual(receipt["prompt_tokens"], len(prompt))
        self.assertEqual(receipt["options"]["seed"], made["seed"])
        self.assertEqual(receipt["fingerprint"], made["fingerprint"])

    def test_what_json_prints_is_a_receipt_too(self):
        self.file.write_text(self.run_ok(
            "generate", PROMPT, "--max-tokens", "20", "--json"))
        verdict = json.loads(self.replay(0, PROMPT, "--json"))
        self.assertTrue(verdict["equal"])
        # One of its tokens changed, and its hash with it.
        made = json.loads(self.file.read_text())
        made["token_ids"][7] += 1
        made["receipt"]["tokens_hash"] = hash_of(made["token_ids"])
        self.file.write_text(json.dumps(made))
        self.assertIn("token of index 7 differs", self.replay(1, PROMPT))
        made["receipt"]["fingerprint"] = "0" * 64
        self.file.write_text(json.dumps(made))
        self.assertIn("the model or its numerics are others",
                      self.replay(1, PROMPT))

    def test_a_process_of_its_own_gives_the_same(self):
        self.run_ok("run", str(processes.TARGET_MODEL), PROMPT,
                    "--max-tokens", "30", "--seed", "3", "--receipt",
                    self.file)
        model = self.run_json("models")["models"][0]["model_id"]
        self.assertIn("equal: 30 tokens; ",
                      self.replay(0, PROMPT, "--model", model))

    def test_a_sessions_turn_is_replayed_by_its_history(self):
        first = self.run_json("generate", PROMPT, "--max-tokens", "10")
        self.run_ok("generate", " And then", "--session",
                    first["session_id"], "--max-tokens", "10", "--receipt",
                    self.file)
        ids = self.file.with_suffix(".ids")
        ids.write_text(json.dumps({"token_ids": [
            *self.ids_of(PROMPT), *first["token_ids"],
            *self.ids_of(" And then", "--no-bos")]}))
        self.assertIn("equal: ", self.replay(0, "--prompt-ids", ids))

    def test_a_receipt_is_the_same_however_the_turn_came_about(self):
        options = {"seed": 9, "max_tokens": 60, "temperature": 0.8,
                   "ignore_eos": True}

        def receipt(**drafting):
            answer = turns.generate(self.stub, pb2.TurnRequest(
                text=PROMPT, options={**options, **drafting}))
            return answer.ended.receipt

        plain = receipt(draft_length=0)
        for drafting in ({}, {"draft_length": 4},
                         {"draft_sources": "DRAFT_SOURCES_LOOKUP"}):
            self.assertEqual(receipt(**drafting), plain)
        # Resumed in the middle, at another stream.
        turn = pb2.TurnRequest(text=PROMPT, options=options)
        answer = turns.Answer()
        stream = turns.Stream(self.stub)
        stream.send(start=turn)
        stream.read(answer, ids_max=10)
        stream.drop()
        stream = turns.Stream(turns.connect(self, self.cluster.coordinator))
        stream.send(resume=pb2.ResumeRequest(
            session_id=answer.started.session_id, turn=answer.started.turn,
            tokens_received=len(answer.ids),
            text_bytes_received=len(answer.text.encode())))
        stream.read(answer)
        self.assertEqual(answer.ended.receipt, plain)

    def test_a_cancelled_turn_has_none(self):
        result = self.cluster.tandem(
            "generate", PROMPT, "--max-tokens", "2000", "--ignore-eos",
            "--timeout-ms", "1", "--receipt", self.file)
        self.assertEqual(result.returncode, 1)
        self.assertIn(b"no receipt: it was ended by deadline", result.stderr)

    def test_samples_are_the_choices(self):
        flags = ["--max-tokens", "24", "--seed", "7"]
        prompt = PROMPT * 12
        lines = self.run_ok("generate", prompt, *flags, "-n", "8",
                            "--json").splitlines()
        samples = [json.loads(line) for line in lines]
        self.assertEqual([sample["choice"] for sample in samples],
                         list(range(8)))
        for sample in samples:
            alone = self.run_json("generate", prompt, *flags,
                                  "--choice-index", str(sample["choice"]))
            self.assertEqual(sample["token_ids"], alone["token_ids"])
        first = self.run_json("generate", prompt, *flags)
        self.assertEqual(samples[0]["token_ids"], first["token_ids"])
        self.assertEqual(len({tuple(sample["token_ids"])
                              for sample in samples}), 8)
        # The others found the prompt's KV.
        for sample in samples[1:]:
            self.assertGreaterEqual(
                sample["usage"]["cached_prompt_tokens"], 64)
        greedy = self.run_ok("generate", PROMPT, "--temperature", "0",
                             "--max-tokens", "8", "-n", "3")
        texts = greedy.split("==> sample ")[1:]
        self.assertEqual(len({text.split("<==\n")[1].strip()
                              for text in texts}), 1)


if __name__ == "__main__":
    processes.main()
