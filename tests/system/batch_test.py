"""tandem batch against real processes: killed, torn and interrupted at any
moment it goes on to the same bytes.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

import processes

SEED = os.environ.get("TANDEM_TEST_SEED", "1")
LINES = 24
PROMPTS = ("Once upon a time", "The king said", "A wolf and a fox")


def make_lines():
    draw = random.Random(f"{SEED} batch")
    lines = []
    for number in range(LINES):
        line = {"id": f"line-{number}", "prompt": draw.choice(PROMPTS),
                "max_tokens": draw.randint(1, 40),
                "temperature": draw.choice((0, 0.8)),
                "seed": draw.getrandbits(64)}
        if number % 5 == 1:
            line["logprobs"] = 1
        if number % 5 == 2:
            line["choice"] = draw.randint(1, 63)
        if number % 5 == 3:
            line["response_format"] = {"regex": "[a-z]{3,9}"}
        lines.append(json.dumps(line))
    # So long that no process ends before it is killed.
    lines[-1] = json.dumps({"id": f"line-{LINES - 1}", "prompt": PROMPTS[0],
                            "min_tokens": 900, "max_tokens": 900,
                            "temperature": 0.8, "seed": 1})
    lines[7] = '{"prompt": "p", "temperature": -1}'
    lines[12] = "nonsense"
    return lines


class BatchTest(processes.ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.input = cls.folder / "in.jsonl"
        cls.input.write_text("\n".join(make_lines()) + "\n")
        output = cls.folder / "whole.jsonl"
        result = cls.cluster.tandem("batch", cls.input, output)
        if result.returncode != 1:
            raise AssertionError(result)
        cls.whole = output.read_bytes()

    def setUp(self):
        self.output = self.folder / "out.jsonl"
        self.output.unlink(missing_ok=True)

    def start(self):
        return subprocess.Popen(
            [processes.BIN / "tandem", "batch", self.input, self.output,
             "--concurrency", "3"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.cluster.environment})

    def lines(self):
        if not self.output.exists():
            return 0
        return self.output.read_bytes().count(b"\n")

    def finish(self):
        result = self.cluster.tandem("batch", self.input, self.output)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(f"2 of {LINES} lines failed".encode(), result.stderr)
        self.assertEqual(self.output.read_bytes(), self.whole)

    def test_lines_are_those_of_generate(self):
        made = [json.loads(line) for line in self.whole.splitlines()]
        self.assertEqual(len(made), LINES)
        for number, (asked, line) in enumerate(zip(make_lines(), made), 1):
            if "error" in line:
                self.assertIn(number, (8, 13))
                self.assertEqual(line["error"]["reason"], "INVALID_OPTIONS")
                self.assertEqual(line["id"], number)
                continue
            asked = json.loads(asked)
            self.assertEqual(line["id"], asked["id"])
            self.assertEqual(len(line["token_ids"]),
                             line["usage"]["generated_tokens"])
            if "response_format" in asked:
                self.assertRegex(line["text"], "^[a-z]{0,9}$")
                continue
            flags = [f"--{name.replace('_', '-')}={asked[name]}"
                     for name in ("min_tokens", "max_tokens", "temperature",
                                  "seed") if name in asked]
            flags.append(f"--choice-index={asked.get('choice', 0)}")
            alone = json.loads(self.cluster.tandem(
                "generate", asked["prompt"], "--json", *flags).stdout)
            self.assertEqual(line["token_ids"], alone["token_ids"])
            self.assertEqual(line["text"], alone["text"])

    def test_a_line_is_a_receipt(self):
        line = self.whole.splitlines()[0]
        file = self.folder / "line.json"
        file.write_bytes(line)
        prompt = json.loads(make_lines()[0])["prompt"]
        result = self.cluster.tandem("replay", file, prompt)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(self):
        kills = 0
        while self.lines() < LINES and kills < 8:
            before = self.lines()
            process = self.start()
            processes.wait_until(
                lambda: self.lines() > before or process.poll() is not None,
                "a line is written")
            time.sleep(random.Random(f"{SEED} {kills}").random() * 0.05)
            process.kill()
            process.wait()
            kills += 1
        self.assertGreater(kills, 1)
        # As a kill in the middle of a write leaves it.
        with open(self.output, "ab") as file:
            file.write(self.whole[:self.whole.index(b"\n") // 2])
        self.finish()

    def test_an_interrupt_leaves_a_file_that_is_gone_on_with(self):
        process = self.start()
        processes.wait_until(lambda: self.lines() > 0, "a line is written")
        process.send_signal(signal.SIGINT)
        code = process.wait(processes.LIMIT_SECONDS)
        self.assertIn(code, (130, 1))
        self.assertTrue(self.whole.startswith(self.output.read_bytes()))
        self.finish()

    def test_another_output_is_refused(self):
        self.output.write_bytes(self.whole)
        result = self.cluster.tandem("batch", self.input, self.output,
                                     "--max-tokens", "3")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"line 1 is not of that line", result.stderr)
        self.assertEqual(self.output.read_bytes(), self.whole)


if __name__ == "__main__":
    processes.main()
