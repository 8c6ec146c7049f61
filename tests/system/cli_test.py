"""The command line against real processes: right and wrong input."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile
import unittest

import processes

PROMPT = "Once upon a time"


class CommandLineTest(processes.ClusterTest):

    def run_ok(self, *arguments, **options):
        result = self.cluster.tandem(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return result

    def run_json(self, *arguments, **options):
        return json.loads(self.run_ok(*arguments, "--json", **options).stdout)

    def run_wrong(self, code, part, *arguments, **options):
        result = self.cluster.tandem(*arguments, **options)
        error = result.stderr.decode()
        self.assertEqual(result.returncode, code, error)
        self.assertTrue(error.startswith("tandem: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(part, error)

    def generate(self, *arguments):
        return self.run_json("generate", PROMPT, "--max-tokens", "32",
                             "--seed", "7", *arguments)

    def test_generate_text_and_json_agree(self):
        turn = self.generate()
        text = self.run_ok("generate", PROMPT, "--max-tokens", "32", "--seed",
                           "7").stdout.decode()
        self.assertEqual(text.rstrip("\n"), turn["text"].rstrip("\n"))
        self.assertEqual(len(turn["token_ids"]), 32)
        self.assertEqual(turn["finish_reason"], "length")
        self.assertEqual(turn["seed"], 7)
        self.assertEqual(turn["usage"]["generated_tokens"], 32)
        self.assertEqual(len(turn["session_id"]), 32)

    def test_the_draft_length_changes_no_token(self):
        plain = self.generate("--draft-length", "0")
        self.assertEqual(plain["speculation"]["drafted_tokens"], 0)
        for length in ("1", "4", "8"):
            drafted = self.generate("--draft-length", length)
            self.assertEqual(drafted["token_ids"], plain["token_ids"])
            self.assertGreater(drafted["speculation"]["drafted_tokens"], 0)
            self.assertLess(drafted["speculation"]["rounds"],
                            plain["speculation"]["rounds"])

    def test_automatic_drafting_changes_no_token(self):
        plain = self.generate("--draft-length", "0")
        for flags in (["--draft-length", "auto"], [],
                      ["--draft-length-max", "2"],
                      ["--draft-sources", "lookup"]):
            drafted = self.generate(*flags)
            self.assertEqual(drafted["token_ids"], plain["token_ids"])
            counts = drafted["speculation"]
            self.assertEqual(sum(counts["drafted_by_position"]),
                             counts["drafted_tokens"])
            self.assertEqual(sum(counts["accepted_by_position"]),
                             counts["accepted_tokens"])

    def test_a_drawn_seed_gives_the_turn_again(self):
        first = self.run_json("generate", PROMPT, "--max-tokens", "16")
        self.assertLess(first["seed"], 2**53)
        again = self.run_json("generate", PROMPT, "--max-tokens", "16",
                              "--seed", str(first["seed"]))
        self.assertEqual(first["token_ids"], again["token_ids"])

    def test_a_session_goes_on(self):
        first = self.generate()
        second = self.run_json("generate", " And then", "--session",
                               first["session_id"], "--max-tokens", "4")
        self.assertEqual(second["turn"], first["turn"] + 1)
        self.assertGreater(
            second["usage"]["prompt_tokens"],
            first["usage"]["prompt_tokens"] + len(first["token_ids"]))

    def test_a_prompt_that_was_run_before_is_not_run_again(self):
        prompt = PROMPT * 20
        first, again = (self.run_json("generate", prompt, "--max-tokens", "8",
                                      "--seed", "7") for _ in range(2))
        self.assertEqual(again["token_ids"], first["token_ids"])
        usage = again["usage"]
        self.assertGreater(usage["prompt_tokens"], 64)
        self.assertEqual(usage["cached_prompt_tokens"],
                         (usage["prompt_tokens"] - 1) // 32 * 32)

    def test_stops(self):
        plain = self.generate("--draft-length", "0", "--temperature", "0")
        stop = plain["text"][10:14]
        cut = self.generate("--temperature", "0", "--stop", stop)
        self.assertEqual(cut["finish_reason"], "stop_string")
        self.assertEqual(cut["text"],
                         plain["text"][:plain["text"].index(stop)])
        token = plain["token_ids"][5]
        cut = self.generate("--temperature", "0", "--stop-token", str(token))
        self.assertEqual(cut["finish_reason"], "stop_token")
        self.assertEqual(
            cut["token_ids"],
            plain["token_ids"][:plain["token_ids"].index(token) + 1])

    def test_the_name_of_a_control_token_stops(self):
        # Token 1 is "<s>", a control token without text.
        for length in ("0", "4"):
            turn = self.generate("--logit-bias", "1=1000", "--stop", "<s>",
                                 "--draft-length", length)
            self.assertEqual(turn["finish_reason"], "stop_string")
            self.assertEqual(turn["token_ids"], [1])
            self.assertEqual(turn["text"], "")
        turn = self.generate("--logit-bias", "1=1000", "--stop", "</s>")
        self.assertEqual(turn["finish_reason"], "length")

    def test_logprobs_and_bias(self):
        turn = self.generate("--logprobs", "2")
        self.assertEqual(len(turn["logprobs"]), 32)
        self.assertEqual(len(turn["logprobs"][0]["alternatives"]), 2)
        banned = turn["token_ids"][0]
        other = self.generate("--logit-bias", f"{banned}=-inf")
        self.assertNotIn(banned, other["token_ids"])

    def test_prompts_from_input_and_file(self):
        expected = self.generate()["token_ids"]
        flags = ("--max-tokens", "32", "--seed", "7")
        piped = self.run_json("generate", "-", *flags, input=PROMPT.encode())
        self.assertEqual(piped["token_ids"], expected)
        path = self.cluster.folder / "prompt.txt"
        path.write_text(PROMPT)
        read = self.run_json("generate", "--prompt-file", path, *flags)
        self.assertEqual(read["token_ids"], expected)

    def test_stats(self):
        result = self.run_ok("generate", PROMPT, "--max-tokens", "16",
                             "--draft-length", "4", "--stats")
        self.assertIn("drafted tokens accepted", result.stderr.decode())
        self.assertIn("verify", result.stderr.decode())
        self.assertIn("a round: draft", result.stderr.decode())

    def test_stats_say_why_nothing_was_drafted(self):
        for flags, reason, part in (
                (("--draft-length", "0"), "off", "--draft-length 0"),
                (("--draft-length-max", "0"), "off", "--draft-length-max 0"),
                (("--max-tokens", "1"), "no_room", "no room for a draft"),
                (("--draft-sources", "lookup", "--max-tokens", "2"),
                 "no_match", "lookup found nothing")):
            with self.subTest(flags=flags):
                stats = self.run_ok("generate", PROMPT, "--max-tokens", "8",
                                    *flags, "--stats").stderr.decode()
                self.assertIn("nothing was drafted: ", stats)
                self.assertIn(part, stats)
                turn = self.generate(*flags)
                self.assertEqual(turn["speculation"]["no_draft_reason"],
                                 reason)
        drafted = self.generate("--draft-length", "4")
        self.assertEqual(drafted["speculation"]["no_draft_reason"], "")

    def test_stats_show_the_line_that_goes_on(self):
        stats = self.run_ok("generate", PROMPT, "--max-tokens", "4",
                            "--stats").stderr.decode()
        line = next(line for line in stats.splitlines()
                    if line.startswith("session: turn 1; go on with: "))
        words = shlex.split(line.split("go on with: ")[1])
        self.assertEqual(words[:2], ["tandem", "generate"])
        turn = self.run_json(*words[1:], "--max-tokens", "4")
        self.assertEqual(turn["turn"], 2)

    def test_a_script_gets_the_text_and_nothing_else(self):
        result = self.run_ok("generate", PROMPT, "--max-tokens", "4")
        self.assertEqual(result.stderr, b"")

    def test_timeout_ends_the_turn(self):
        turn = self.run_json("generate", PROMPT, "--max-tokens", "900",
                             "--ignore-eos", "--timeout-ms", "1")
        self.assertEqual(turn["finish_reason"], "deadline")

    def test_interrupt_cancels_and_shows_what_came(self):
        with subprocess.Popen(
                [processes.BIN / "tandem", "generate", PROMPT, "--coordinator",
                 self.cluster.coordinator, "--max-tokens", "1000",
                 "--ignore-eos", "--draft-length", "0"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE) as process:
            first = process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(
                timeout=processes.LIMIT_SECONDS)
        self.assertEqual(process.returncode, 130, errors)
        self.assertTrue((first + rest).endswith(b"\n"))
        self.assertEqual(errors, b"")

    def test_wrong_requests(self):
        for code, part, arguments, *given in (
                (1, '--model "nonesuch" is not served: `tandem models` lists '
                 "what is", ("generate", PROMPT, "--model", "nonesuch")),
                (1, '--model-id "nonesuch" is not served',
                 ("tokenize", "a", "--model-id", "nonesuch")),
                (1, f'--session "{"0" * 32}": there is no such session, or '
                 "not any more: leave --session out to begin a new one",
                 ("generate", PROMPT, "--session", "0" * 32)),
                (1, "leave no room in a context of 1024: give a shorter "
                 "prompt", ("generate", "a " * 5000)),
                (1, "the text is longer than the coordinator at",
                 ("generate", "-"), b"a" * (5 << 20)),
                (2, "token id (number 2): must be in [0, 4095], is 4096",
                 ("detokenize", "5", "4096")),
                (2, "--stop-token (number 1): must be a token id below 4096",
                 ("generate", PROMPT, "--stop-token", "4096")),
                (2, "token id (number 1): must be in [0, 4095], is -1",
                 ("detokenize", "--", "-1")),
                (2, "--top-p", ("generate", PROMPT, "--top-p", "nan")),
                (2, "--max-tokens", ("generate", PROMPT, "--max-tokens", "0")),
                (2, "UTF-8", ("generate", b"\xff\xfe")),
                (2, "--nonsense", ("generate", PROMPT, "--nonsense"))):
            with self.subTest(arguments=arguments):
                options = {"input": given[0]} if given else {}
                self.run_wrong(code, part, *arguments, **options)

    def test_tokenize_by_service_and_by_file(self):
        for text in ("", "Hello", "a\tb\n", "n\u00e4\u00efve \U0001f600", " x"):
            for flags in ((), ("--no-bos",)):
                by_service = self.run_json("tokenize", *flags,
                                           input=text.encode())
                by_file = self.run_json("tokenize", "--model",
                                        processes.TARGET_MODEL, *flags,
                                        input=text.encode())
                self.assertEqual(by_service, by_file)
        self.assertEqual(self.run_json("tokenize", "", "--no-bos"),
                         {"token_ids": []})

    def test_detokenize_undoes_tokenize(self):
        text = "The king\u2019s daughter"
        ids = self.run_ok("tokenize", text).stdout
        back = self.run_ok("detokenize", input=ids).stdout.decode()
        self.assertEqual(back, text + "\n")

    def test_models(self):
        models = self.run_json("models")["models"]
        self.assertEqual(len(models), 1)
        self.assertEqual(models[0]["vocab_size"], 4096)
        self.assertEqual(models[0]["draft_workers"], 1)
        self.assertIn(models[0]["model_id"],
                      self.run_ok("models").stdout.decode())

    def test_inspect(self):
        shown = self.run_json("inspect", processes.DRAFT_MODEL)
        self.assertEqual(len(shown["tensors"]), 20)
        end = max(t["offset"] + t["bytes"] for t in shown["tensors"])
        self.assertLessEqual(end, shown["file_bytes"])
        self.run_wrong(1, "/nonexistent", "inspect", "/nonexistent")
        self.run_wrong(1, "README.md", "inspect",
                       processes.SOURCE_DIR / "README.md")

    def test_health_of_all_three(self):
        for name in ("coordinator", "target", "draft"):
            for service in ("", "tandem.started", "tandem.ready"):
                result = self.run_ok("health", self.cluster.address(name),
                                     "--service", service)
                self.assertEqual(result.stdout, b"SERVING\n")
        self.run_wrong(1, "nonesuch", "health", "--service", "nonesuch")


class WithoutCoordinatorTest(unittest.TestCase):

    def test_every_command_names_the_remedy(self):
        for arguments in (("generate", "a"), ("tokenize", "a"),
                          ("detokenize", "1"), ("models",), ("status",)):
            result = processes.tandem(*arguments, "--coordinator",
                                      "unix:/nonexistent/socket")
            self.assertEqual(result.returncode, 1)
            self.assertIn(b"start one with tandem-coordinator", result.stderr)


NUMBER = "is not a whole number from"


class ServerUsageTest(unittest.TestCase):
    """The servers' command lines, by real processes that end at once."""

    def run_server(self, program, *arguments, environment=None):
        return subprocess.run(
            [processes.BIN / program, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            timeout=processes.LIMIT_SECONDS,
            env={**os.environ, **(environment or {})})

    def run_wrong(self, part, program, *arguments, environment=None):
        result = self.run_server(program, *arguments, environment=environment)
        error = result.stderr.decode()
        self.assertEqual(result.returncode, 2, error)
        self.assertEqual(result.stdout, b"")
        self.assertTrue(error.startswith(f"{program}: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertIn(part, error)
        self.assertLess(len(error), 300)

    def test_wrong_arguments(self):
        worker = ("tandem-worker", "--role", "target", "--model", "m.gguf")
        coordinator = ("tandem-coordinator", "--target", "127.0.0.1:1")
        for part, arguments in (
                ('no flag "--rol"; did you mean --role?',
                 ("tandem-worker", "--rol", "target", "--model", "m")),
                ("--role is required", ("tandem-worker", "--model", "m")),
                ('--role: "drat" is not one of draft, target; did you mean '
                 "draft?", ("tandem-worker", "--role", "drat")),
                ('"m.gguf" is one argument too many: tandem-worker takes flags '
                 "only", ("tandem-worker", "--role", "target", "--model", "m",
                          "--", "m.gguf")),
                (f'--threads: "many" {NUMBER} 0 to 1024',
                 (*worker, "--threads", "many")),
                (f'--kv-tokens: "-1" {NUMBER} 0', (*worker, "--kv-tokens",
                                                   "-1")),
                ('--prefix-cache: "yes" is not one of on, off',
                 (*worker, "--prefix-cache", "yes")),
                (f'--sessions-max: "0" {NUMBER} 1 to 2147483647',
                 (*coordinator, "--sessions-max", "0")),
                (f'--turns-max: "1e9" {NUMBER} 1', (*coordinator, "--turns-max",
                                                    "1e9")),
                (f'--tenant-turns-max: "-1" {NUMBER} 0',
                 (*coordinator, "--tenant-turns-max", "-1")),
                (f'--client-stall-ms: "1" {NUMBER} 100 to 3600000',
                 (*coordinator, "--client-stall-ms", "1")),
                (f'--append-idle-ms: "99" {NUMBER} 100 to 600000',
                 (*coordinator, "--append-idle-ms", "99")),
                (f'--connection-age-max-seconds: "-1" {NUMBER} 0 to 86400',
                 (*coordinator, "--connection-age-max-seconds", "-1")),
                ('--tenant-kv-share: "2" is not a number from 0.01 to 1',
                 (*worker, "--tenant-kv-share", "2")),
                ("--target: an address is missing",
                 ("tandem-coordinator", "--target", "")),
                ("--draft: an address is missing",
                 (*coordinator, "--draft", "")),
                ("--target is required", ("tandem-coordinator",)),
                ('no flag "--targets"; did you mean --target?',
                 ("tandem-coordinator", "--targets", "127.0.0.1:1")),
                (f'--step-us: "-5" {NUMBER} 0 to 60000000',
                 ("tandem-cost-worker", "--role", "draft", "--vocabulary", "v",
                  "--step-us", "-5")),
                ("--agreement: \"2\" is not a number from 0 to 1",
                 ("tandem-cost-worker", "--role", "draft", "--vocabulary", "v",
                  "--agreement", "2")),
                ("/dev/zero: the file has more than", (*coordinator, "--config",
                                                       "/dev/zero"))):
            with self.subTest(arguments=arguments):
                self.run_wrong(part, *arguments)

    def test_wrong_environment_and_config_file(self):
        self.run_wrong(
            "TANDEM_SESSIONS_MAX (the same as --sessions-max): \"x\" " + NUMBER,
            "tandem-coordinator", "--target", "127.0.0.1:1",
            environment={"TANDEM_SESSIONS_MAX": "x"})
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "flags.ini"
            path.write_text("# of a test\nrole = target\nthreads = 9999\n")
            self.run_wrong(f'{path}:3: --threads: "9999" {NUMBER} 0 to 1024',
                           "tandem-worker", "--model", "m", "--config", path)
            path.write_text("role = target\nthread = 2\n")
            self.run_wrong(
                f'{path}:2: there is no key "thread"; did you mean threads?',
                "tandem-worker", "--model", "m", "--config", path)

    def test_examples_of_every_help_parse(self):
        for program in ("tandem-worker", "tandem-coordinator",
                        "tandem-gateway", "tandem-cost-worker"):
            text = self.run_server(program, "--help").stdout.decode()
            examples = text.split("\nExamples:\n")[1].splitlines()
            self.assertGreater(len(examples), 1)
            for example in filter(None, examples):
                words = shlex.split(example)
                self.assertEqual(words[0], program)
                # All else was read before what is left over is looked at.
                self.run_wrong('there is no flag "--zzzzzz" (see', program,
                               *words[1:], "--zzzzzz")

    def test_every_number_has_a_range_in_the_help(self):
        for program in ("tandem-worker", "tandem-coordinator",
                        "tandem-gateway", "tandem-cost-worker"):
            text = self.run_server(program, "--help").stdout.decode()
            for line in text.splitlines():
                if line.startswith("  -") and any(
                        kind in line for kind in (" INT", " UINT", " FLOAT")):
                    self.assertIn(" .. ", line)


if __name__ == "__main__":
    processes.main()
