"""What real processes serve as metrics is what services/README.md lists."""

import json
import re

import processes

README = processes.SOURCE_DIR / "services/README.md"
# tls_test.py asks for these.
UNDER_TLS = {"tandem_certificate_expiry_timestamp_seconds",
             "tandem_certificate_reload_failures_total"}


def listed_names():
    """Process -> names of its table in the README, alternatives spelled out."""
    text = README.read_text().split("## Metrics", 1)[1].split("\n## ", 1)[0]
    coordinator, worker = text.split("\nA worker has:\n")
    return {"coordinator": names_of(coordinator), "worker": names_of(worker)}


def names_of(table):
    names = set()
    for line in table.splitlines():
        if not line.startswith("| `"):
            continue
        for code in re.findall(r"`([^`]+)`", line.split("|")[1]):
            # {a,b} within a name is an alternative, at its end it is labels.
            name = re.sub(r"\{[^}]*\}$", "", code)
            match = re.search(r"\{([^}]*)\}", name)
            for word in match.group(1).split(",") if match else ("",):
                names.add(re.sub(r"\{[^}]*\}", word, name))
    return names


def served_names(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


class MetricsTest(processes.ClusterTest):

    def generate(self):
        result = self.cluster.tandem(
            "generate", "The old king", "--json", "--seed", "7",
            "--max-tokens", "24", "--draft-length", "3")
        self.assertEqual(result.returncode, 0, result.stderr.decode())
        return json.loads(result.stdout)

    def test_the_readme_lists_what_is_served(self):
        self.generate()
        # Series of labels that have not occurred are not there before.
        self.cluster.tandem("generate", "Once", "--model", "none")
        listed = listed_names()
        for name in ("coordinator", "target", "draft"):
            _, text = self.cluster.metrics(name)
            kind = "coordinator" if name == "coordinator" else "worker"
            self.assertEqual(served_names(text) | UNDER_TLS, listed[kind],
                             name)

    def test_figures_follow_what_was_done(self):
        before = {name: self.cluster.metrics(name)[0]
                  for name in self.cluster.processes}
        answer = self.generate()

        def grew(name, series):
            after, _ = self.cluster.metrics(name)
            return after[series] - before[name].get(series, 0)

        self.assertEqual(
            grew("coordinator", "tandem_generation_tokens_total"),
            answer["usage"]["generated_tokens"])
        speculation = answer["speculation"]
        self.assertEqual(grew("coordinator", "tandem_rounds_total"),
                         speculation["rounds"])
        self.assertEqual(
            grew("coordinator", "tandem_spec_decode_num_accepted_tokens_total"
                 '{source="model"}'), speculation["accepted_tokens"])
        # Each round verifies its draft and the token before it; of the prompt
        # the rest. So short a prompt counts as decoding where the first draft
        # was there before the prompt's pass.
        verified = speculation["rounds"] + speculation["drafted_tokens"]
        decoded = grew("target", 'tandem_rows_total{kind="decode"}')
        prompt = answer["usage"]["prompt_tokens"] - 1
        self.assertIn(decoded, (verified, verified + prompt))
        self.assertEqual(
            decoded + grew("target", 'tandem_rows_total{kind="prompt"}'),
            verified + prompt)
        self.assertGreater(grew("target", "tandem_step_seconds_count"), 0)
        self.assertGreater(grew("draft", "tandem_step_rows_sum"), 0)
        for name in ("target", "draft"):
            values, _ = self.cluster.metrics(name)
            self.assertEqual(values["tandem_ready"], 1)
            processes.wait_until(
                lambda who=name: self.cluster.metrics(who)[0]
                ["tandem_kv_cache_usage_perc"] == 0, "the KV is free again")


if __name__ == "__main__":
    processes.main()
