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
  outcome.usage.set_generated_tokens(30);
  outcome.speculation.set_rounds(10);
  outcome.speculation.set_rpc_us(5000);
  outcome.speculation.set_wait_us(2000);
  outcome.speculation.add_drafted_by_position(9);
  return outcome;
}

TurnOutcome Failed(absl::StatusCode code, const std::string& reason) {
  TurnOutcome outcome;
  outcome.status = MakeError(code, {.reason = reason, .violations = {}}, "no");
  return outcome;
}

TEST(LoadFiguresTest, EndsAddUp) {
  LoadFigures figures;
  figures.AddEnd(Ended());
  TurnOutcome longer = Ended();
  longer.speculation.add_drafted_by_position(4);
  figures.AddEnd(longer);
  EXPECT_EQ(figures.usage.generated_tokens(), 60);
  EXPECT_EQ(figures.speculation.rounds(), 20);
  EXPECT_THAT(figures.speculation.drafted_by_position(), ElementsAre(18, 4));
  EXPECT_EQ(figures.round_rpc_us.max(), 500);
  EXPECT_EQ(figures.round_transport_us.max(), 300);
  EXPECT_THAT(figures.finish_reasons, ElementsAre(Pair("length", 2)));
}

TEST(LoadFiguresTest, AnEventsGapIsSharedByItsTokens) {
  LoadFigures figures;
  figures.AddTokens(1, 100, /*is_first=*/true);
  figures.AddTokens(4, 60, /*is_first=*/false);
  EXPECT_EQ(figures.generated_tokens, 5);
  EXPECT_EQ(figures.first_token_us.max(), 100);
  EXPECT_EQ(figures.event_gap_us.max(), 60);
  EXPECT_EQ(figures.event_gap_us.count(), 1);
  EXPECT_EQ(figures.token_gap_us.max(), 15);
  EXPECT_EQ(figures.token_gap_us.count(), 4);
}

TEST(LoadFiguresTest, NoTimeGivesNoRate) {
  EXPECT_EQ(LoadFigures().generated_per_second(), 0);
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
  cached.usage.set_cached_prompt_tokens(7);
  two.AddEnd(cached);
  two.AddEnd(Failed(absl::StatusCode::kInternal, "LOST"));
  one.Merge(two);
  EXPECT_EQ(one.generated_per_second(), 30);
  EXPECT_EQ(one.speculation.rounds(), 20);
  EXPECT_EQ(one.usage.cached_prompt_tokens(), 7);
  EXPECT_EQ(one.turns_failed, 1);
  EXPECT_THAT(one.errors, ElementsAre(Pair("INTERNAL LOST", 1)));
  EXPECT_THAT(one.finish_reasons, ElementsAre(Pair("length", 2)));
}

}  // namespace
}  // namespace tandem::load
