#include "services/coordinator/server/coordinator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class CoordinatorMetricsTest : public ::testing::Test {
 protected:
  std::string Text() {
    return prometheus::TextSerializer().Serialize(
        metrics_.registry()->Collect());
  }
  void ExpectLine(const std::string& line) {
    const std::string text = absl::StrCat("\n", Text());
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }

  CoordinatorMetrics metrics_;
};

TEST_F(CoordinatorMetricsTest, CountsTokensAsTheyCome) {
  metrics_.OnFirstTokens(2, milliseconds(70));
  metrics_.OnTokens(4, milliseconds(40));
  metrics_.OnTokens(3, std::nullopt);
  ExpectLine("tandem_generation_tokens_total 9");
  ExpectLine("tandem_time_to_first_token_seconds_count 1");
  ExpectLine("tandem_time_to_first_token_seconds_bucket{le=\"0.04\"} 0");
  ExpectLine("tandem_time_to_first_token_seconds_bucket{le=\"0.08\"} 1");
  // Four tokens of 10 ms each; what came after a pause is not a latency.
  ExpectLine("tandem_inter_token_latency_seconds_count 4");
  ExpectLine("tandem_inter_token_latency_seconds_bucket{le=\"0.008\"} 0");
  ExpectLine("tandem_inter_token_latency_seconds_bucket{le=\"0.015\"} 4");
}

TEST_F(CoordinatorMetricsTest, CountsQuarantinedPrompts) {
  ExpectLine("tandem_quarantined_prompts_total 0");
  metrics_.OnPromptQuarantined();
  ExpectLine("tandem_quarantined_prompts_total 1");
}

TEST_F(CoordinatorMetricsTest, TotalsAreThoseOfTurnsThatRunToo) {
  metrics_.OnFirstTokens(2, milliseconds(70));
  metrics_.OnRound({});
  metrics_.OnTokens(4, milliseconds(40));
  metrics_.OnRound({.drafted = 5, .accepted = 3});
  metrics_.OnRound({.drafted = 2, .accepted = 2, .from_lookup = true});
  const CoordinatorTotals totals = metrics_.totals();
  EXPECT_EQ(totals.generated_tokens, 6);
  EXPECT_EQ(totals.drafted_tokens, 7);
  EXPECT_EQ(totals.accepted_tokens, 5);
}

TEST_F(CoordinatorMetricsTest, CountsATurnsSpeculation) {
  TurnSummary summary;
  summary.finish_reason = FinishReason::kLength;
  summary.usage = {
      .prompt_tokens = 11, .generated_tokens = 9, .cached_prompt_tokens = 8};
  SpeculationCounts& counts = summary.speculation;
  counts.rounds = 4;
  counts.drafted = 7;
  counts.accepted = 5;
  counts.lookup = {.drafted = 3, .accepted = 3};
  counts.late = 1;
  counts.positions[0] = {.drafted = 3, .accepted = 3};
  counts.positions[1] = {.drafted = 4, .accepted = 2};
  summary.times = {.draft_us = 1000000,
                   .verify_us = 2000000,
                   .rpc_us = 500000,
                   .wait_us = 250000,
                   .queue_us = 300000,
                   .first_token_us = 1,
                   .total_us = 4000000};
  metrics_.OnTurnOver(summary);
  ExpectLine("tandem_prompt_tokens_total 11");
  ExpectLine("tandem_prefix_cache_queries_total 11");
  ExpectLine("tandem_prefix_cache_hits_total 8");
  ExpectLine("tandem_request_queue_time_seconds_sum 0.3");
  ExpectLine("tandem_rounds_total 4");
  ExpectLine("tandem_spec_decode_num_drafts_total 3");
  ExpectLine("tandem_spec_decode_num_late_drafts_total 1");
  ExpectLine("tandem_spec_decode_num_draft_tokens_total{source=\"model\"} 4");
  ExpectLine(
      "tandem_spec_decode_num_accepted_tokens_total{source=\"model\"} 2");
  ExpectLine("tandem_spec_decode_num_wasted_tokens_total{source=\"model\"} 2");
  ExpectLine("tandem_spec_decode_num_wasted_tokens_total{source=\"lookup\"} 0");
  ExpectLine(
      "tandem_spec_decode_num_accepted_tokens_per_pos_total{position=\"1\"} 2");
  ExpectLine("tandem_round_seconds_total{part=\"verify\"} 2");
  ExpectLine("tandem_round_seconds_total{part=\"wait\"} 0.25");
  ExpectLine("tandem_request_success_total{finished_reason=\"length\"} 1");
  ExpectLine("tandem_e2e_request_latency_seconds_sum 4");
}

TEST_F(CoordinatorMetricsTest, CountsTokensThatWereScored) {
  metrics_.OnScored(5);
  metrics_.OnScored(7);
  ExpectLine("tandem_scored_tokens_total 12");
}

TEST_F(CoordinatorMetricsTest, AFailedTurnIsNoSuccess) {
  metrics_.OnTurnOver({});
  metrics_.OnStreamFailed("NO_WORKER");
  metrics_.OnStreamFailed("NO_WORKER");
  EXPECT_THAT(Text(), ::testing::Not(HasSubstr("finished_reason=")));
  ExpectLine("tandem_e2e_request_latency_seconds_count 0");
  ExpectLine("tandem_request_failure_total{reason=\"NO_WORKER\"} 2");
}

TEST_F(CoordinatorMetricsTest, ShowsLevels) {
  WorkerInfo usable;
  usable.usable = true;
  WorkerInfo draining = usable;
  draining.draining = true;
  WorkerInfo drafter = usable;
  drafter.role = WorkerRole::kDraft;
  MemoryBudget memory(1000);
  memory.Add(MemoryKind::kSessions, "a", 70);
  memory.SetShared(MemoryKind::kTokenizers, 30);
  metrics_.SetLevels({.turns = 3,
                      .sessions = 5,
                      .streams = 4,
                      .workers = {usable, usable, draining, drafter},
                      .memory = &memory});
  ExpectLine("tandem_memory_bytes{kind=\"sessions\"} 70");
  ExpectLine("tandem_memory_bytes{kind=\"texts\"} 0");
  ExpectLine("tandem_memory_bytes{kind=\"tokenizers\"} 30");
  ExpectLine("tandem_memory_bytes{kind=\"limit\"} 1000");
  ExpectLine("tandem_num_requests_running 3");
  ExpectLine("tandem_sessions 5");
  ExpectLine("tandem_client_streams 4");
  ExpectLine("tandem_workers{role=\"target\",state=\"usable\"} 2");
  ExpectLine("tandem_workers{role=\"draft\",state=\"usable\"} 1");
  metrics_.SetLevels({.turns = 0,
                      .sessions = 0,
                      .streams = 0,
                      .workers = {},
                      .memory = &memory});
  ExpectLine("tandem_workers{role=\"target\",state=\"usable\"} 0");
}

// Names begin with tandem_, counters end with _total, and each has a help text.
TEST_F(CoordinatorMetricsTest, NamesFollowTheRules) {
  const std::vector<std::string> lines = absl::StrSplit(Text(), '\n');
  for (const std::string& line : lines) {
    if (line.rfind("# TYPE ", 0) != 0) continue;
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    ASSERT_EQ(words.size(), 4u);
    EXPECT_EQ(words[2].rfind("tandem_", 0), 0u) << line;
    const bool is_total =
        words[2].size() > 6 && words[2].substr(words[2].size() - 6) == "_total";
    EXPECT_EQ(words[3] == "counter", is_total) << line;
    EXPECT_THAT(Text(), HasSubstr(absl::StrCat("# HELP ", words[2], " ")));
  }
}

}  // namespace
}  // namespace tandem
