"""Prompts that are echoed with their log-probabilities, as harnesses that
evaluate models ask the gateway for them: a multiple choice gives what `tandem
score` gives, bit for bit. And streams with an echo that a client comes back to.

TANDEM_TEST_SEED takes other items.
"""

import functools
import json
import operator

import gateway_test
import processes
import score_test

ITEMS = 8


def parse_logprobs(choice, context_tokens):
    """What lm-evaluation-harness takes of a choice (parse_logprobs of
    lm_eval/models/openai_completions.py): the sum and whether the text is the
    greedy one. It uses sum(), which rounds otherwise from Python 3.12 on."""
    logprobs = choice["logprobs"]["token_logprobs"][context_tokens:-1]
    top = choice["logprobs"]["top_logprobs"][context_tokens:-1]
    return (functools.reduce(operator.add, logprobs, 0),
            all(logprob == max(other.values())
                for logprob, other in zip(logprobs, top)))


class EchoTest(processes.ClusterTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.gateway = gateway_test.Gateway(cls.cluster)

    def complete(self, **fields):
        status, answer = self.gateway.ask("POST", "/v1/completions", fields)
        self.assertEqual(status, 200, answer)
        return answer

    def tokenize(self, text):
        return self.gateway.ask("POST", "/tandem/v1/tokenize",
                                {"text": text})[1]["tokens"]

    def score(self, item):
        """(sum, greedy) of each text, by the command."""
        shown = self.cluster.tandem(
            "score", item.text, *(one.text for one in item.continuations),
            "--json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return [(one["logprob"], one["is_greedy"])
                for one in json.loads(shown.stdout)["scores"]]

    def test_a_multiple_choice_is_that_of_scores(self):
        for item in score_test.make_items()[:ITEMS]:
            wanted = self.score(item)
            context = len(self.tokenize(item.text))
            for asked, score in zip(item.continuations, wanted):
                text = item.text + asked.text
                ids = self.tokenize(text)
                for prompt in (text, [ids]):
                    options = {"prompt": prompt, "temperature": 0,
                               "logprobs": 1, "seed": 1234, "echo": True}
                    answer = self.complete(**options, max_tokens=1)
                    choice = answer["choices"][0]
                    self.assertEqual(parse_logprobs(choice, context), score)
                    self.assertTrue(choice["text"].startswith(text))
                    logprobs = choice["logprobs"]
                    self.assertEqual(len(logprobs["tokens"]),
                                     answer["usage"]["total_tokens"])
                    self.assertEqual(answer["usage"]["prompt_tokens"],
                                     len(ids))
                    self.assertIsNone(logprobs["token_logprobs"][0])
                    # As older versions of the harness ask.
                    alone = self.complete(**options, max_tokens=0)
                    self.assertEqual(alone["usage"]["completion_tokens"], 0)
                    self.assertEqual(alone["choices"][0]["text"], text)
                    self.assertEqual(
                        alone["choices"][0]["finish_reason"], "length")
                    self.assertEqual(
                        alone["choices"][0]["logprobs"]["token_logprobs"],
                        logprobs["token_logprobs"][:-1])

    def test_greedy_texts_are_told(self):
        prompt = "The king went into the"
        text = self.complete(prompt=prompt, temperature=0,
                             max_tokens=8)["choices"][0]["text"]
        ids = self.tokenize(prompt + text)
        context = len(self.tokenize(prompt))
        choice = self.complete(prompt=ids, temperature=0, max_tokens=1,
                               logprobs=1, echo=True)["choices"][0]
        _, is_greedy = parse_logprobs(choice, context)
        shown = self.cluster.tandem("score", prompt, text, "--json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(json.loads(shown.stdout)["scores"][0]["is_greedy"],
                         is_greedy)

    def test_offsets_are_places_in_the_text(self):
        prompt = "Once \u2603 upon a caf\u00e9"
        choice = self.complete(prompt=prompt, max_tokens=4, logprobs=0,
                               echo=True)["choices"][0]
        text = choice["text"].encode()
        logprobs = choice["logprobs"]
        offsets = logprobs["text_offset"]
        self.assertEqual(offsets, sorted(offsets))
        places = {token.strip(): offset for token, offset
                  in zip(logprobs["tokens"], offsets)}
        for word in ("upon", "a"):
            begin = places[word]
            self.assertEqual(text[begin:].strip()[:len(word)], word.encode())

    def test_each_choice_has_the_prompt_before_it(self):
        options = {"prompt": gateway_test.PROMPT, "max_tokens": 6, "seed": 5,
                   "logprobs": 1, "n": 3}
        plain = self.complete(**options)
        echoed = self.complete(**options, echo=True)
        self.assertEqual(echoed["usage"]["prompt_tokens"],
                         plain["usage"]["prompt_tokens"])
        count = plain["usage"]["prompt_tokens"]
        for one, other in zip(plain["choices"], echoed["choices"]):
            self.assertEqual(other["text"], gateway_test.PROMPT + one["text"])
            self.assertEqual(other["logprobs"]["token_logprobs"][count:],
                             one["logprobs"]["token_logprobs"])
            self.assertEqual(
                other["logprobs"]["token_logprobs"][:count],
                echoed["choices"][0]["logprobs"]["token_logprobs"][:count])

    def test_a_client_that_comes_back_has_the_prompt_once(self):
        for more in ({}, {"logprobs": 1}):
            body = {"prompt": gateway_test.PROMPT, "max_tokens": 40,
                    "seed": 5, "ignore_eos": True, "echo": True, **more}
            whole = self.complete(**body)["choices"][0]
            for blocks in (1, 4):
                connection, response = self.gateway.send(
                    "POST", "/v1/completions", {**body, "stream": True})
                name = response.headers["X-Tandem-Stream"]
                received = gateway_test.receive(response, blocks)
                response.close()
                connection.close()
                # The last one has no id.
                had = [event for event in gateway_test.events(received)
                       if event[0] is not None]
                self.check_rest(name, had, whole)
                # One that has nothing gets all.
                self.check_rest(name, [], whole)

    def check_rest(self, name, had, whole):
        headers = {"Last-Event-ID": had[-1][0]} if had else {}
        status, rest = self.gateway.ask("GET", f"/v1/streams/{name}", None,
                                        headers)
        self.assertEqual(status, 200, rest)
        all_events = had + gateway_test.events(rest)
        self.assertEqual(gateway_test.text_of(all_events), whole["text"])
        if whole["logprobs"] is None:
            return
        for field, values in whole["logprobs"].items():
            self.assertEqual(
                [value for _, data in all_events if data != "[DONE]"
                 for value in (data["choices"][0]["logprobs"] or {}).get(
                     field, [])], values, field)


if __name__ == "__main__":
    processes.main()
