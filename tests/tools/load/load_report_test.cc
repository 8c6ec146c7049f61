#include "tools/load/load_report.h"

#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using cli::Json;

LoadFigures Seen() {
  LoadFigures figures;
  figures.seconds = 2;
  figures.first_token_us.Add(100);
  figures.event_gap_us.Add(50, 99);
  figures.event_gap_us.Add(120);
  figures.turns_ended = 3;
  figures.generated_tokens = 500;
  figures.prompt_tokens = 64;
  TurnOutcome outcome;
  outcome.finish_reason = "length";
  outcome.usage.set_generated_tokens(500);
  outcome.speculation.set_rounds(100);
  outcome.speculation.set_drafted_tokens(400);
  outcome.speculation.set_accepted_tokens(300);
  outcome.speculation.set_draft_us(100000);
  outcome.speculation.set_rpc_us(30000);
  outcome.speculation.set_wait_us(20000);
  outcome.speculation.set_queue_us(3000);
  figures.AddEnd(outcome);
  figures.AddEnd({.status = absl::UnavailableError("gone")});
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
  EXPECT_EQ(json["speculation"]["accepted_per_round"], 3);
  EXPECT_EQ(json["speculation"]["draft_us"], 100000);
  EXPECT_EQ(json["finish_reasons"]["length"], 1);
  EXPECT_EQ(json["errors"]["UNAVAILABLE"], 1);
  EXPECT_EQ(json["cached_tokens"], 0);
  EXPECT_EQ(json["queue_us"], 3000);
}

TEST(LoadReportTest, AnotherServerReportsLess) {
  LoadFigures figures;
  TurnOutcome outcome;
  outcome.speculation.set_drafted_tokens(8);
  figures.AddEnd(outcome);
  Json json = LoadJson(figures);
  EXPECT_EQ(json["speculation"]["drafted_tokens"], 8);
  EXPECT_EQ(json["speculation"]["acceptance_rate"], 0);
  EXPECT_FALSE(json["speculation"].contains("rounds"));
  EXPECT_FALSE(json.contains("cached_tokens"));
  EXPECT_FALSE(json.contains("queue_us"));
  outcome.usage.set_cached_prompt_tokens(5);
  figures.AddEnd(outcome);
  EXPECT_EQ(LoadJson(figures)["cached_tokens"], 5);
}

TEST(LoadReportTest, ASweepIsATableOfRatios) {
  std::vector<SweepRow> rows(2);
  rows[0].draft_length = 0;
  rows[0].figures = Seen();
  rows[0].rates = {240, 260};
  rows[0].ratio_to_plain = 1;
  rows[1].figures = Seen();
  rows[1].ratio_to_plain = 1.25;
  const Json json = SweepJson(rows);
  EXPECT_EQ(json[0]["draft_length"], 0);
  EXPECT_EQ(json[0]["tokens_per_second_by_round"], Json({240, 260}));
  EXPECT_EQ(json[1]["draft_length"], "auto");
  EXPECT_EQ(json[1]["ratio_to_plain"], 1.25);
  EXPECT_TRUE(json[1]["ratio_to_best_fixed"].is_null());
  EXPECT_EQ(json[1]["turns"]["ended"], 3);
  const Json summary = SweepSummary(json);
  EXPECT_EQ(summary[1]["drafts"], "auto");
  EXPECT_EQ(summary[1]["tokens/s"], 250);
  EXPECT_EQ(summary[1]["to 0"], 1.25);
  EXPECT_EQ(summary[1]["events, us"], 50);
  EXPECT_FALSE(summary[1].contains("format"));
}

TEST(LoadReportTest, ASweepSaysWhichRowsHaveTheFormat) {
  std::vector<SweepRow> rows(2);
  rows[1].with_format = true;
  rows[1].ratio_to_free = 0.9;
  const Json json = SweepJson(rows);
  EXPECT_EQ(json[0]["with_format"], false);
  EXPECT_TRUE(json[0]["ratio_to_free"].is_null());
  EXPECT_EQ(json[1]["with_format"], true);
  EXPECT_EQ(json[1]["ratio_to_free"], 0.9);
  const Json summary = SweepSummary(json);
  EXPECT_EQ(summary[0]["format"], "no");
  EXPECT_EQ(summary[1]["format"], "yes");
  EXPECT_EQ(summary[1]["to free"], 0.9);
}

TEST(LoadReportTest, Progress) {
  const Json json =
      ProgressJson({.seconds = 3.2, .turns_running = 7, .figures = Seen()});
  EXPECT_EQ(json["seconds"], 3.2);
  EXPECT_EQ(json["turns_running"], 7);
  EXPECT_EQ(json["turns_failed"], 1);
  EXPECT_EQ(json["between_events_p99_us"], 50);
}

}  // namespace
}  // namespace tandem::load
