"""`tandem bench serve` against real processes: the demo pair, and workers that
take the time they are told."""

import json
import signal
import subprocess
import unittest

import processes
from processes import BIN, TARGET_MODEL, Cluster, ClusterTest


# What README.md of tools/load measures with.
SCHEMA = processes.SOURCE_DIR / "tests/data/tale_schema.json"


def bench(test, cluster, *arguments):
    """The report of a load."""
    done = cluster.tandem("bench", "serve", *arguments, "--json")
    test.assertEqual(done.returncode, 0, done.stderr)
    return json.loads(done.stdout)


class CostCluster(Cluster):
    """Workers without weights: the draft agrees at half of all positions."""

    def worker(self, role, model):
        agreement = "0.5" if role == "draft" else "1"
        return ["tandem-cost-worker", "--role", role, "--vocabulary",
                TARGET_MODEL, "--agreement", agreement]


class DemoPair(ClusterTest):
    def test_a_sweep_runs_each_length(self):
        rows = bench(
            self, self.cluster, "--sessions", "2", "--requests", "4",
            "--prompt-tokens", "8..16", "--output-tokens", "12",
            "--sweep", "0,3,auto", "--rounds", "2")["sweep"]
        self.assertEqual([row["draft_length"] for row in rows],
                         [0, 3, "auto"])
        for row in rows:
            self.assertEqual(row["turns"]["ended"], 8)
            self.assertEqual(row["errors"], {})
            self.assertEqual(row["finish_reasons"], {"length": 8})
            self.assertEqual(row["throughput"]["generated_tokens"], 8 * 12)
            self.assertGreater(row["ratio_to_plain"], 0)
            self.assertEqual(len(row["tokens_per_second_by_round"]), 2)
        self.assertEqual(rows[0]["speculation"]["drafted_tokens"], 0)
        self.assertGreater(rows[1]["speculation"]["drafted_tokens"], 0)

    def test_replies_by_a_schema_end_by_it(self):
        report = bench(
            self, self.cluster, "--sessions", "2", "--requests", "4",
            "--prompt-tokens", "8", "--output-tokens", "900", "--temperature",
            "1", "--json-schema", SCHEMA)
        self.assertEqual(report["errors"], {})
        self.assertEqual(report["finish_reasons"], {"grammar_end": 4})
        tokens = report["throughput"]["generated_tokens"]
        self.assertGreater(tokens, 4 * 100)
        # Of the tokens that came and of those that the server counted.
        speculation = report["speculation"]
        self.assertAlmostEqual(
            speculation["tokens_per_round"] * speculation["rounds"], tokens,
            delta=0.01)
        self.assertAlmostEqual(
            speculation["accepted_per_round"] * speculation["rounds"],
            speculation["accepted_tokens"], delta=0.01)

    def test_a_sweep_runs_with_a_format_and_without(self):
        rows = bench(
            self, self.cluster, "--requests", "3", "--prompt-tokens",
            "8", "--output-tokens", "30", "--regex", "[a-z]{5}",
            "--sweep", "0,auto", "--rounds", "2")["sweep"]
        self.assertEqual([(row["draft_length"], row["with_format"])
                          for row in rows],
                         [(0, False), (0, True), ("auto", False),
                          ("auto", True)])
        for row in rows:
            self.assertEqual(row["errors"], {})
            self.assertEqual(row["turns"]["ended"], 6)
            if row["with_format"]:
                self.assertEqual(row["finish_reasons"], {"grammar_end": 6})
                self.assertLessEqual(
                    row["throughput"]["generated_tokens"], 6 * 5)
                self.assertGreater(row["ratio_to_free"], 0)
            else:
                self.assertEqual(row["finish_reasons"], {"length": 6})

    def test_sessions_of_several_turns(self):
        report = bench(
            self, self.cluster, "--turns", "3", "--requests", "6",
            "--prompt-tokens", "4", "--output-tokens", "5")
        self.assertEqual(report["turns"]["ended"], 6)
        self.assertEqual(report["errors"], {})

    def test_ctrl_c_ends_it_with_a_report(self):
        load = subprocess.Popen(
            [BIN / "tandem", "--coordinator", self.cluster.coordinator,
             "bench", "serve", "--duration", "600", "--output-tokens", "500",
             "--progress", "json", "--json"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        try:
            # Progress comes once a second: by then turns run.
            first = json.loads(load.stderr.readline())
            self.assertEqual(first["turns_running"], 1)
            load.send_signal(signal.SIGINT)
            out, _ = load.communicate(timeout=processes.LIMIT_SECONDS)
        finally:
            load.kill()
            load.wait()
        self.assertEqual(load.returncode, 130)
        report = json.loads(out)
        self.assertEqual(report["turns"]["failed"], 0)


class CostWorkers(unittest.TestCase):
    def test_the_draft_agrees_as_it_was_told(self):
        cluster = CostCluster()
        try:
            report = bench(
                self, cluster, "--sessions", "20", "--requests", "40",
                "--output-tokens", "200", "--draft-length", "1",
                "--draft-sources", "model", "--greedy")
        finally:
            codes = cluster.stop()
        self.assertFalse(any(codes.values()), codes)
        self.assertEqual(report["turns"]["ended"], 40)
        self.assertEqual(report["errors"], {})
        self.assertEqual(report["throughput"]["generated_tokens"], 8000)
        # About 5,300 rounds of one draft, each right with p = 0.5: a standard
        # deviation is 0.007. Where drafts came too late there are fewer.
        drafted = report["speculation"]["drafted_tokens"]
        self.assertGreater(drafted, 0)
        self.assertAlmostEqual(report["speculation"]["acceptance_rate"], 0.5,
                               delta=6 * 0.5 / drafted ** 0.5)


if __name__ == "__main__":
    processes.main()
