"""No prompt, no generated text, no token id, no key and no session id stands in
a log, a metric or an error, whatever goes wrong.

Marked strings go into everything that a client can send, over every call and
error path, to servers that log all they can.
"""

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest
import urllib.request

import grpc

import processes
import turns
from keys_test import KeyedCluster, Keys
from turns import pb2

MARK = "zanzibar quokka"
# Each in a place of its own, so that a finding names it.
PROMPT = f"{MARK} prompt"
CHAT = f"{MARK} chat"
STOP = f"{MARK} stop"
OPTION = f"{MARK} option"
SESSION = f"{MARK} session"
BEARER = "zanzibar-quokka-bearer"
METADATA = (("authorization", f"Bearer {BEARER}"), ("x-note", BEARER))
MARKS = re.compile(r"zanzibar|quokka", re.IGNORECASE)

# Of a generated text, what is looked for in logs.
WINDOW = 16
IDS_IN_A_ROW = 4
SERVICE = "/tandem.v1.GenerationService"


class CanaryTest(unittest.TestCase):

    metrics_key = ""

    def start(self, log_format):
        flags = ["--log-level", "debug", "--log-format", log_format]
        self.cluster = processes.Cluster(targets=2, flags={
            "target": [*flags, "--queue-max", "1", "--sequences-max", "2"],
            "draft": flags,
            "coordinator": [*flags, "--turns-max", "3", "--queue-timeout-ms",
                            "100"]})
        self.addCleanup(self.cluster.stop)
        self.stub = turns.connect(self, self.cluster.coordinator)
        self.errors = []
        self.answers = []

    def fails(self, call, *arguments, metadata=METADATA):
        """The call ends with an error, which is kept."""
        try:
            result = call(*arguments, timeout=processes.LIMIT_SECONDS,
                          metadata=metadata)
            if hasattr(result, "__iter__"):
                list(result)
        except grpc.RpcError as error:
            trailers = b"".join(
                value if isinstance(value, bytes) else value.encode()
                for _, value in error.trailing_metadata() or ())
            self.errors.append(f"{error.code()} {error.details()} "
                               f"{trailers.decode(errors='replace')}")
            return
        self.fail(f"no error: {arguments}")

    def turn(self, **fields):
        fields.setdefault("text", PROMPT)
        fields.setdefault("options", {"max_tokens": 24, "seed": 7})
        return pb2.GenerateRequest(turn=pb2.TurnRequest(**fields))

    def works(self, **fields):
        answer = turns.Answer()
        for event in self.stub.Generate(self.turn(**fields),
                                        timeout=processes.LIMIT_SECONDS,
                                        metadata=METADATA):
            answer.add(event)
        self.answers.append(answer)
        return answer

    def wrong_requests(self):
        generate = self.stub.Generate
        first = self.works()
        for options in ({"temperature": -1}, {"max_tokens": -1},
                        {"stop_strings": [STOP * 100]},
                        {"stop_strings": [STOP, ""]}, {"logprobs": 99},
                        {"stop_token_ids": [-5]},
                        {"logit_bias": [{"token_id": 10**8, "bias": 1}]}):
            self.fails(generate, self.turn(options=options))
        self.fails(generate, self.turn(text=PROMPT * 2000))
        self.fails(generate, self.turn(session_id=SESSION))
        self.fails(generate, self.turn(text=None,
                                       tokens={"ids": [5, 6, 7, 10**8]}))
        self.fails(generate, self.turn(text=None, messages={
            "messages": [{"role": "CHAT_ROLE_UNSPECIFIED", "content": CHAT}]}))
        self.fails(generate, self.turn(
            text=None, messages={"messages": [
                {"role": "CHAT_ROLE_USER", "content": CHAT}]},
            template_options={"date": pb2.TemplateOption(text_value=OPTION),
                              "kind": pb2.TemplateOption(text_value=OPTION)}))
        self.fails(generate, self.turn(template_options={
            OPTION: pb2.TemplateOption(text_value=OPTION)}))
        self.fails(self.stub.Tokenize, pb2.TokenizeRequest(
            text=PROMPT, model_id="none"))
        self.fails(self.stub.Detokenize, pb2.DetokenizeRequest(
            token_ids=[*first.ids[:8], 10**8]))
        self.stub.Score(pb2.ScoreRequest(text=PROMPT, continuations=[
            {"text": CHAT}]), timeout=processes.LIMIT_SECONDS)
        for continuations in ([], [{"text": ""}], [{"text": PROMPT * 2000}],
                              [{"tokens": {"ids": [*first.ids[:8], 10**8]}}]):
            self.fails(self.stub.Score, pb2.ScoreRequest(
                text=PROMPT, continuations=continuations))
        # Bytes that are no message, and a text that is not UTF-8.
        text = PROMPT.encode() + b"\xff"
        not_utf8 = bytes([0x0a, len(text) + 2, 0x1a, len(text)]) + text
        with grpc.insecure_channel(self.cluster.coordinator) as channel:
            for method in ("Generate", "Converse"):
                for request in (PROMPT.encode(), not_utf8):
                    self.fails(channel.unary_stream(f"{SERVICE}/{method}"),
                               request)

    def wrong_streams(self):
        for requests in (
                [{"resume": {"session_id": SESSION, "turn": 1}}],
                [{"start": self.turn().turn}, {"start": self.turn().turn}],
                [{"start": self.turn().turn},
                 {"resume": {"session_id": SESSION, "turn": 1}}]):
            self.fails(self.stub.Converse,
                       iter([pb2.ConverseRequest(**r) for r in requests]))

    def too_many(self):
        """More turns than there are places, some of them refused."""
        def one(number):
            try:
                return list(self.stub.Generate(
                    self.turn(text=f"{PROMPT} {number}", options={
                        "max_tokens": 200, "ignore_eos": True}),
                    timeout=processes.LIMIT_SECONDS, metadata=METADATA))
            except grpc.RpcError as error:
                self.errors.append(f"{error.code()} {error.details()}")
                return None

        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            results = list(threads.map(one, range(12)))
        self.assertIn(None, results)

    def killed_workers(self, *names):
        """Turns whose workers die."""
        for name in names:
            events = self.stub.Generate(
                self.turn(options={"max_tokens": 400, "ignore_eos": True,
                                   "seed": 9}),
                timeout=processes.LIMIT_SECONDS, metadata=METADATA)
            next(events)
            os.kill(self.cluster.processes[name].pid, signal.SIGKILL)
            self.cluster.processes.pop(name).wait()
            try:
                list(events)
            except grpc.RpcError as error:
                self.errors.append(f"{error.code()} {error.details()}")

    def shown(self):
        """What operators see, by where it stands."""
        shown = {path.name: path.read_text(errors="replace")
                 for path in self.cluster.folder.glob("*.log")}
        for name in self.cluster.processes:
            address = self.cluster.address(name, "metrics")
            request = urllib.request.Request(f"http://{address}/metrics")
            if self.metrics_key:
                request.add_header("Authorization",
                                   f"Bearer {self.metrics_key}")
            with urllib.request.urlopen(
                    request, timeout=processes.LIMIT_SECONDS) as response:
                shown[f"metrics of {name}"] = response.read().decode()
        shown["errors"] = "\n".join(self.errors)
        return shown

    def assert_nothing_shown(self, shown):
        self.assertGreater(len(self.errors), 20)
        secrets = set()
        for answer in self.answers:
            self.assertGreater(len(answer.text), WINDOW)
            secrets |= {answer.text[i:i + WINDOW]
                        for i in range(len(answer.text) - WINDOW)}
            secrets.add(answer.started.session_id)
            for i in range(len(answer.ids) - IDS_IN_A_ROW):
                row = answer.ids[i:i + IDS_IN_A_ROW]
                secrets |= {separator.join(map(str, row))
                            for separator in (" ", ",", ", ")}
        for where, text in shown.items():
            for line in text.splitlines():
                self.assertIsNone(MARKS.search(line), f"{where}: {line}")
                for secret in secrets:
                    self.assertNotIn(secret, line, where)

    def test_nothing_that_clients_send_is_shown(self):
        # A turn without a target waits for half a minute: once is enough.
        for log_format, killed in (("text", ["draft", "target"]),
                                   ("json", ["draft", "target", "target2"])):
            with self.subTest(log_format=log_format):
                self.start(log_format)
                self.wrong_requests()
                self.wrong_streams()
                self.too_many()
                shown = self.shown()
                self.killed_workers(*killed)
                if "target2" in killed:
                    self.fails(self.stub.Generate, self.turn())
                shown.update(self.shown())
                self.assertIn("coordinator.log", shown)
                self.assert_nothing_shown(shown)
                self.cluster.stop()

    def test_no_api_key_is_shown(self):
        keys = Keys()
        self.addCleanup(keys.cleanup)
        good, revoked = (keys.new(name, name).read_text().strip()
                         for name in ("good", "revoked"))
        self.metrics_key = keys.new("metrics", "metrics", "--scope",
                                    "metrics").read_text().strip()
        flags = ["--keys", keys.path, "--log-level", "debug"]
        self.cluster = KeyedCluster(keys, "good", flags={
            "coordinator": flags, "target": flags, "draft": flags})
        self.addCleanup(self.cluster.stop)
        self.stub = turns.connect(self, self.cluster.coordinator)
        self.errors = []
        result = self.cluster.tandem("generate", PROMPT, "--max-tokens", "4")
        self.assertEqual(result.returncode, 0, result.stderr)
        keys.command("revoke", keys.ids["revoked"])
        processes.wait_until(
            lambda: processes.tandem(
                "models", "--coordinator", self.cluster.coordinator,
                "--key-file", keys.file("revoked")).returncode,
            "the key is denied")
        for value in (f"Bearer {revoked}", f"Bearer {good}x",
                      f"Bearer {good[:-1]}", f"bearer{good}", good,
                      f"Basic {good}", f"Bearer {BEARER}"):
            self.fails(self.stub.Generate, self.turn(),
                       metadata=(("authorization", value),))
        # A key file that others may read, and one that holds two keys.
        keys.file("good").chmod(0o644)
        both = keys.write("both", f"{good}\n{revoked}\n")
        for file in (keys.file("good"), both, keys.file("revoked")):
            shown = processes.tandem(
                "generate", PROMPT, "--key-file", file,
                environment=self.cluster.environment)
            self.assertNotEqual(shown.returncode, 0)
            self.errors.append(shown.stderr.decode())
        for where, text in self.shown().items():
            self.assertIsNone(MARKS.search(text), f"{where}: {text}")
            for key in (good, revoked, self.metrics_key):
                for i in range(len("tandem_"), len(key) - WINDOW):
                    self.assertNotIn(key[i:i + WINDOW], text, where)

    def test_nothing_of_key_files_is_shown(self):
        with tempfile.TemporaryDirectory() as folder:
            key = pathlib.Path(folder) / "marked.key"
            subprocess.run(["openssl", "ecparam", "-name", "prime256v1",
                            "-genkey", "-noout", "-out", key], check=True)
            secret = key.read_text().splitlines()[1]
            # A key whose text is damaged, and one that is no PEM at all.
            damaged = pathlib.Path(folder) / "damaged.key"
            damaged.write_text(key.read_text().replace(secret[:8], MARK, 1))
            text = pathlib.Path(folder) / "text.key"
            text.write_text(f"{MARK}\n{secret}\n")
            for program, *rest in (
                    ("tandem-worker", "--role", "draft", "--model",
                     processes.DRAFT_MODEL),
                    ("tandem-coordinator", "--target", "127.0.0.1:1")):
                for cert, file in ((key, damaged), (key, key), (text, text),
                                   (damaged, text)):
                    ended = subprocess.run(
                        [processes.BIN / program, *rest, "--listen",
                         "127.0.0.1:0", "--log-level", "debug", "--tls-cert",
                         cert, "--tls-key", file],
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        timeout=processes.LIMIT_SECONDS, check=False)
                    self.assertEqual(ended.returncode, 2, ended.stdout)
                    shown = ended.stdout.decode()
                    self.assertIsNone(MARKS.search(shown), shown)
                    self.assertNotIn(secret[:WINDOW], shown)


if __name__ == "__main__":
    processes.main()
