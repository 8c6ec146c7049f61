"""HTTP in front of a coordinator, with real processes: streams, clients that
go and come back, errors, keys."""

import http.client
import json
import signal
import subprocess
import unittest

import keys_test
import processes

PROMPT = "Once upon a time"


class Gateway:
    """A gateway in front of `cluster`, and requests to it."""

    def __init__(self, cluster, *flags):
        self.cluster = cluster
        cluster.start("gateway", "tandem-gateway", "--coordinator",
                      cluster.coordinator, "--listen", "127.0.0.1:0", *flags)
        self.address = cluster.address("gateway")

    def connect(self):
        return http.client.HTTPConnection(self.address,
                                          timeout=processes.LIMIT_SECONDS)

    def send(self, method, path, body=None, headers=None):
        """The connection and the answer's head."""
        connection = self.connect()
        connection.request(
            method, path, None if body is None else json.dumps(body),
            {"Content-Type": "application/json", **(headers or {})})
        return connection, connection.getresponse()

    def ask(self, method, path, body=None, headers=None):
        """The status and the answer, JSON or text."""
        connection, response = self.send(method, path, body, headers)
        text = response.read().decode()
        connection.close()
        if response.headers["Content-Type"] == "application/json":
            return response.status, json.loads(text)
        return response.status, text


def events(text):
    """(id, data) of each event with data; data as JSON, or "[DONE]"."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines()
                      if ": " in line)
        if "data" in fields:
            data = fields["data"]
            found.append((fields.get("id"),
                          data if data == "[DONE]" else json.loads(data)))
    return found


def receive(response, blocks):
    """What a stream sends, up to so many events."""
    received = b""
    while received.count(b"\n\n") < blocks:
        piece = response.read1(1)
        if not piece:
            raise AssertionError(f"the stream ended: {received}")
        received += piece
    return received.decode()


def text_of(found):
    return "".join(choice["text"] for _, data in found if data != "[DONE]"
                   for choice in data["choices"])


class GatewayTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway = Gateway(cls.cluster)

    def complete(self, **fields):
        return self.gateway.ask("POST", "/v1/completions", {
            "prompt": PROMPT, "max_tokens": 24, "seed": 5, **fields})

    def test_models_and_health(self):
        status, models = self.gateway.ask("GET", "/v1/models")
        self.assertEqual(status, 200)
        name = models["data"][0]["id"]
        self.assertEqual(
            self.gateway.ask("GET", f"/v1/models/{name}")[1]["id"], name)
        self.assertEqual(self.gateway.ask("GET", "/v1/models/none")[0], 404)
        self.assertEqual(self.gateway.ask("GET", "/health"),
                         (200, {"status": "ok"}))
        info = self.gateway.ask("GET", "/tandem/v1/info")[1]
        self.assertEqual(info["keys"], False)
        self.assertEqual(info["default_options"]["openai"]["temperature"], 1)

    def test_a_seed_gives_its_text_with_and_without_drafts(self):
        status, first = self.complete()
        self.assertEqual(status, 200, first)
        text = first["choices"][0]["text"]
        self.assertTrue(text)
        for fields in ({}, {"tandem": {"draft_length": 0}},
                       {"tandem": {"draft_length": 4}}):
            self.assertEqual(self.complete(**fields)[1]["choices"][0]["text"],
                             text)
        self.assertNotEqual(
            self.complete(seed=6)[1]["choices"][0]["text"], text)

    def test_a_stream_has_the_same_text_and_the_usage(self):
        whole = self.complete()[1]
        status, text = self.complete(stream=True,
                                     stream_options={"include_usage": True})
        self.assertEqual(status, 200)
        found = events(text)
        self.assertEqual(found[-1][1], "[DONE]")
        self.assertEqual(text_of(found), whole["choices"][0]["text"])
        self.assertEqual(found[-2][1]["usage"]["completion_tokens"],
                         whole["usage"]["completion_tokens"])

    def test_what_tandem_adds(self):
        _, text = self.complete(stream=True, tandem={"draft_length": 4})
        chunks = [data for _, data in events(text)[:-1]]
        self.assertEqual(chunks[0]["tandem"]["seed"], 5)
        tokens = [token for chunk in chunks
                  for token in chunk["tandem"].get("tokens", [])]
        self.assertEqual(len(tokens), 24)
        self.assertEqual("".join(token["text"] for token in tokens),
                         text_of(events(text)))
        self.assertGreater(
            chunks[-1]["tandem"]["speculation"]["drafted_tokens"], 0)

    def test_logprobs_name_tokens(self):
        _, answer = self.complete(logprobs=2, max_tokens=8)
        logprobs = answer["choices"][0]["logprobs"]
        self.assertEqual("".join(logprobs["tokens"]),
                         answer["choices"][0]["text"])
        self.assertEqual(len(logprobs["top_logprobs"][0]), 2)

    def test_stop_strings_end_the_text(self):
        text = self.complete()[1]["choices"][0]["text"]
        stop = text.split()[2]
        answer = self.complete(stop=[stop])[1]["choices"][0]
        self.assertEqual(answer["text"], text[:text.index(stop)])
        self.assertEqual(answer["finish_reason"], "stop")

    def test_a_schema_is_kept_in_its_order(self):
        schema = {"type": "object", "additionalProperties": False,
                  "required": ["word", "age"],
                  "properties": {"word": {"enum": ["wolf", "fox"]},
                                 "age": {"type": "integer", "minimum": 0,
                                         "maximum": 9}}}
        answer = self.complete(max_tokens=200, response_format={
            "type": "json_schema",
            "json_schema": {"name": "animal", "strict": True,
                            "schema": schema}})[1]["choices"][0]
        value = json.loads(answer["text"])
        self.assertEqual(list(value), ["word", "age"])
        self.assertIn(value["word"], ("wolf", "fox"))
        self.assertEqual(answer["finish_reason"], "stop")
        status, refused = self.complete(response_format={
            "type": "json_schema",
            "json_schema": {"schema": {"properties": {"a": {"not": {}}}}}})
        self.assertEqual(status, 400)
        self.assertEqual(refused["error"]["param"],
                         "response_format.json_schema.schema")
        self.assertIn("/properties/a", refused["error"]["message"])

    def test_errors(self):
        for fields, status, param in (
                ({"model": "none"}, 404, None),
                ({"temperature": -1}, 400, "temperature"),
                ({"top_p": 7}, 400, "top_p"),
                ({"stop": ["x" * 999]}, 400, "stop[0]"),
                ({"n": 65}, 400, "n"),
                ({"temprature": 1}, 400, '"temprature"')):
            got, answer = self.complete(**fields)
            self.assertEqual((got, answer["error"]["param"]), (status, param),
                             answer)

    def test_a_client_that_goes_frees_its_kv_and_comes_back(self):
        body = {"prompt": PROMPT, "max_tokens": 200, "seed": 5,
                "ignore_eos": True}
        whole = self.gateway.ask("POST", "/v1/completions", body)[1]
        connection, response = self.gateway.send(
            "POST", "/v1/completions", {**body, "stream": True})
        name = response.headers["X-Tandem-Stream"]
        received = receive(response, 4)
        response.close()
        connection.close()
        self.cluster.wait_for_free_kv()
        had = events(received)
        status, rest = self.gateway.ask(
            "GET", f"/v1/streams/{name}", None, {"Last-Event-ID": had[-1][0]})
        self.assertEqual(status, 200, rest)
        self.assertEqual(text_of(had) + text_of(events(rest)),
                         whole["choices"][0]["text"])
        self.assertEqual(
            self.gateway.ask("GET", "/v1/streams/" + "0" * 32 + "-1")[0], 404)

    def test_a_session_goes_on(self):
        _, first = self.complete(tandem={})
        session = first["tandem"]["session_id"]
        _, second = self.complete(prompt=" and", tandem={
            "session_id": session})
        self.assertEqual(second["tandem"]["turn"], 2)
        self.assertGreater(second["usage"]["prompt_tokens"],
                           first["usage"]["total_tokens"])


class GatewayOfItsOwnTest(unittest.TestCase):

    def test_keys(self):
        """None, a wrong one, another tenant's stream; none of it in a log."""
        keys = keys_test.Keys()
        self.addCleanup(keys.cleanup)
        alice = keys.new("alice", "alice")
        bob = keys.new("bob", "bob")
        cluster = keys_test.KeyedCluster(
            keys, "alice", flags={"coordinator": ["--keys", keys.path]})
        self.addCleanup(cluster.stop)
        gateway = Gateway(cluster)
        body = {"prompt": PROMPT, "max_tokens": 8, "stream": True}

        def headers(key):
            return {"Authorization": f"Bearer {key}"}

        secret = alice.read_text().strip()
        for wrong in ({}, headers("wrong"), headers(secret[:-1])):
            status, answer = gateway.ask("POST", "/v1/completions", body,
                                         wrong)
            self.assertEqual((status, answer["error"]["code"]),
                             (401, "invalid_key"))
        connection, response = gateway.send("POST", "/v1/completions", body,
                                            headers(secret))
        self.assertEqual(response.status, 200)
        name = response.headers["X-Tandem-Stream"]
        response.read()
        connection.close()
        for key, status in ((bob.read_text().strip(), 404), (secret, 200)):
            self.assertEqual(
                gateway.ask("GET", f"/v1/streams/{name}", None,
                            headers(key))[0], status)
        self.assertEqual(gateway.ask("GET", "/health")[0], 200)
        self.assertEqual(gateway.ask("GET", "/tandem/v1/info")[1]["keys"],
                         True)
        log = cluster.log("gateway")
        for text in (secret, PROMPT):
            self.assertNotIn(text, log)

    def test_starts_that_are_refused(self):
        for flags, words in (
                (["--listen", "0.0.0.0:0"], "others can reach this address"),
                (["--coordinator", "http://127.0.0.1:7070"], "--coordinator"),
                (["--listen", "127.0.0.1:0", "--cors-origin", "*"],
                 "--cors-origin")):
            result = subprocess.run(
                [processes.BIN / "tandem-gateway", *flags],
                stdin=subprocess.DEVNULL,
                capture_output=True, timeout=processes.LIMIT_SECONDS,
                check=False)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(words, result.stderr.decode())

    def test_a_stop_ends_streams_by_an_event(self):
        cluster = processes.Cluster(drafts=0)
        self.addCleanup(cluster.stop)
        gateway = Gateway(cluster, "--drain-timeout-ms", "100")
        connection, response = gateway.send("POST", "/v1/completions", {
            "prompt": PROMPT, "max_tokens": 900, "ignore_eos": True,
            "stream": True})
        self.assertEqual(response.status, 200)
        cluster.processes["gateway"].send_signal(signal.SIGTERM)
        text = response.read().decode()
        connection.close()
        self.assertEqual(cluster.processes["gateway"].wait(
            processes.LIMIT_SECONDS), 0)
        last = events(text)[-2:]
        # A fast machine may have sent all of it before the signal came.
        if "error" in last[0][1]:
            self.assertEqual(last[0][1]["error"]["code"], "draining")
        else:
            self.assertEqual(last[0][1]["choices"][0]["finish_reason"],
                             "length")
        self.assertEqual(last[1][1], "[DONE]")

    def test_a_coordinator_that_is_gone(self):
        cluster = processes.Cluster(drafts=0)
        self.addCleanup(cluster.stop)
        gateway = Gateway(cluster)
        cluster.processes["coordinator"].kill()
        cluster.processes["coordinator"].wait()
        self.assertEqual(gateway.ask("GET", "/health")[0], 503)
        status, answer = gateway.ask("GET", "/v1/models")
        self.assertEqual(status, 503)
        self.assertNotRegex(answer["error"]["message"], r"\d+\.\d+\.\d+")


if __name__ == "__main__":
    processes.main()
