#include "tools/tandem/load_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

load::LoadFigures Seen() {
  load::LoadFigures figures;
  figures.seconds = 2;
  figures.first_token_us.Add(100);
  figures.event_gap_us.Add(50, 99);
  figures.event_gap_us.Add(120);
  figures.turns_ended = 3;
  figures.generated_tokens = 500;
  figures.prompt_tokens = 64;
  load::TurnOutcome outcome;
  outcome.finish_reason = "length";
  outcome.figures = {.generated_tokens = 500,
                     .rounds = 100,
                     .drafted_tokens = 400,
                     .accepted_tokens = 300,
                     .draft_us = 100000,
                     .rpc_us = 30000,
                     .wait_us = 20000};
  figures.AddEnd(outcome);
  load::TurnOutcome failed;
  failed.status = absl::UnavailableError("gone");
  figures.AddEnd(failed);
  return figures;
}

TEST(LoadReportTest, TheObjectHasEveryFigure) {
  const Json json = LoadJson(Seen());
  EXPECT_EQ(json["seconds"], 2);
  EXPECT_EQ(json["turns"]["ended"], 3);
  EXPECT_EQ(json["turns"]["failed"], 1);
  EXPECT_EQ(json["throughput"]["generated_tokens_per_second"], 250);
  EXPECT_EQ(json["throughput"]["prompt_tokens_per_second"], 32);
  EXPECT_EQ(json["latency_us"]["first_token"]["p99"], 100);
  EXPECT_EQ(json["latency_us"]["between_events"]["p50"], 50);
  EXPECT_EQ(json["latency_us"]["between_events"]["max"], 120);
  EXPECT_EQ(json["latency_us"]["between_events"]["count"], 100);
  EXPECT_EQ(json["latency_us"]["rpc_per_round"]["p50"], 300);
  EXPECT_EQ(json["latency_us"]["transport_per_round"]["p50"], 100);
  EXPECT_EQ(json["speculation"]["acceptance_rate"], 0.75);
  EXPECT_EQ(json["speculation"]["tokens_per_round"], 5);
  EXPECT_EQ(json["speculation"]["mean_draft_length"], 4);
  EXPECT_EQ(json["finish_reasons"]["length"], 1);
  EXPECT_EQ(json["errors"]["UNAVAILABLE"], 1);
  EXPECT_FALSE(json.contains("cached_tokens"));
  EXPECT_FALSE(json.contains("queue_us"));
}

TEST(LoadReportTest, WhatAServerTellsOrNot) {
  load::LoadFigures figures;
  load::TurnOutcome outcome;
  outcome.figures.cached_tokens = 5;
  outcome.figures.queue_us = 3000;
  figures.AddEnd(outcome);
  const Json json = LoadJson(figures);
  EXPECT_EQ(json["cached_tokens"], 5);
  EXPECT_EQ(json["queue_us"], 3000);
  EXPECT_FALSE(json["speculation"].contains("rounds"));
  const std::string text = LoadText(figures);
  EXPECT_THAT(text, HasSubstr("cache: 5"));
  EXPECT_THAT(text, HasSubstr("queued in the server: 3.00 ms"));
  EXPECT_THAT(text, Not(HasSubstr("rounds:")));
}

TEST(LoadReportTest, TheTextHasTheMainFigures) {
  const std::string text = LoadText(Seen());
  EXPECT_THAT(text, HasSubstr("2.0 s: 3 turns ended, 0 cut by the end, 1 "
                              "failed\n"));
  EXPECT_THAT(text, HasSubstr("250.0 generated, 32.0 of prompts"));
  EXPECT_THAT(text, HasSubstr("drafts: 300 of 400 accepted (75.0%)"));
  EXPECT_THAT(text, HasSubstr("5.00 tokens and 4.00 drafts in each; draft 1.00 "
                              "ms, verify 0.00 ms, transport 0.10 ms, waiting "
                              "in workers 0.20 ms"));
  EXPECT_THAT(text, HasSubstr("errors: 1 UNAVAILABLE\n"));
  EXPECT_THAT(text, Not(HasSubstr("skipped")));
  EXPECT_THAT(text, Not(HasSubstr("whole turn")));  // none came to its end
}

TEST(LoadReportTest, ASweepIsATableOfRatios) {
  std::vector<load::SweepRow> rows(2);
  rows[0].draft_length = 0;
  rows[0].figures = Seen();
  rows[0].ratio_to_plain = 1;
  rows[1].figures = Seen();
  rows[1].ratio_to_plain = 1.25;
  const std::string text = SweepText(rows);
  EXPECT_THAT(text, HasSubstr("\n     0     250.0    1.000        -    75.0%"));
  EXPECT_THAT(text, HasSubstr("\n  auto     250.0    1.250        -"));
  const Json json = SweepJson(rows);
  EXPECT_EQ(json[0]["draft_length"], 0);
  EXPECT_EQ(json[1]["draft_length"], "auto");
  EXPECT_EQ(json[1]["ratio_to_plain"], 1.25);
  EXPECT_TRUE(json[1]["ratio_to_best_fixed"].is_null());
  EXPECT_EQ(json[1]["turns"]["ended"], 3);
}

TEST(LoadReportTest, Progress) {
  const load::LoadProgress progress = {
      .seconds = 3.2, .turns_running = 7, .figures = Seen()};
  EXPECT_EQ(ProgressText(progress),
            "3 s: 7 turns running, 3 ended, 1 failed; 250.0 tokens/s, p99 "
            "between events 0.1 ms");
  EXPECT_EQ(ProgressJson(progress)["turns_running"], 7);
  EXPECT_EQ(ProgressJson(progress)["between_events_p99_us"], 50);
}

}  // namespace
}  // namespace tandem::cli
