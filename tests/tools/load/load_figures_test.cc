#include "tools/load/load_figures.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

TurnOutcome Ended() {
  TurnOutcome outcome;
  outcome.finish_reason = "length";
  outcome.figures = {.generated_tokens = 30,
                     .rounds = 10,
                     .drafted_tokens = 40,
                     .accepted_tokens = 20,
                     .rpc_us = 5000,
                     .wait_us = 2000};
  return outcome;
}

TurnOutcome Failed(absl::StatusCode code, const std::string& reason) {
  TurnOutcome outcome;
  outcome.status = MakeError(code, {.reason = reason, .violations = {}}, "no");
  return outcome;
}

TEST(LoadFiguresTest, EndsAddUpToRates) {
  LoadFigures figures;
  figures.AddEnd(Ended());
  figures.AddEnd(Ended());
  EXPECT_EQ(figures.acceptance_rate(), 0.5);
  EXPECT_EQ(figures.tokens_per_round(), 3);
  EXPECT_EQ(figures.mean_draft_length(), 4);
  EXPECT_EQ(figures.round_rpc_us.max(), 500);
  EXPECT_EQ(figures.round_transport_us.max(), 300);
  EXPECT_THAT(figures.finish_reasons, ElementsAre(Pair("length", 2)));
  EXPECT_FALSE(figures.told.cached_tokens.has_value());
}

TEST(LoadFiguresTest, NothingGivesNoRates) {
  const LoadFigures figures;
  EXPECT_EQ(figures.acceptance_rate(), 0);
  EXPECT_EQ(figures.tokens_per_round(), 0);
  EXPECT_EQ(figures.generated_per_second(), 0);
}

TEST(LoadFiguresTest, ErrorsCountByStatusAndReason) {
  LoadFigures figures;
  figures.AddEnd(Failed(absl::StatusCode::kUnavailable, "NO_WORKER"));
  figures.AddEnd(Failed(absl::StatusCode::kUnavailable, "UNAVAILABLE"));
  TurnOutcome plain;
  plain.status = absl::InternalError("lost");
  figures.AddEnd(plain);
  EXPECT_EQ(figures.turns_failed, 3);
  EXPECT_THAT(figures.errors,
              ElementsAre(Pair("INTERNAL", 1), Pair("UNAVAILABLE", 1),
                          Pair("UNAVAILABLE NO_WORKER", 1)));
}

TEST(LoadFiguresTest, KindsOfErrorsAreBounded) {
  LoadFigures figures;
  for (size_t i = 0; i < 2 * kNamesMax; ++i) {
    figures.AddEnd(
        Failed(absl::StatusCode::kUnknown, absl::StrCat("KIND_", i)));
  }
  EXPECT_EQ(figures.errors.size(), kNamesMax + 1);
  EXPECT_EQ(figures.errors["other"], static_cast<int64_t>(kNamesMax));
}

TEST(LoadFiguresTest, MergingIsCountingBoth) {
  LoadFigures one;
  one.seconds = 2;
  one.generated_tokens = 100;
  one.AddEnd(Ended());
  LoadFigures two;
  two.seconds = 3;
  two.generated_tokens = 50;
  TurnOutcome cached = Ended();
  cached.figures.cached_tokens = 7;
  two.AddEnd(cached);
  two.AddEnd(Failed(absl::StatusCode::kInternal, "LOST"));
  one.Merge(two);
  EXPECT_EQ(one.generated_per_second(), 30);
  EXPECT_EQ(one.told.rounds, 20);
  EXPECT_EQ(one.told.cached_tokens, 7);
  EXPECT_EQ(one.turns_failed, 1);
  EXPECT_THAT(one.errors, ElementsAre(Pair("INTERNAL LOST", 1)));
  EXPECT_THAT(one.finish_reasons, ElementsAre(Pair("length", 2)));
}

}  // namespace
}  // namespace tandem::load
