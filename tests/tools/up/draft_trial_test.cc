#include "tools/tandem/up/draft_trial.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

// A service that takes some microseconds a token.
struct FakeTurns {
  int64_t drafted_us = 0;
  int64_t plain_us = 0;
  int64_t tokens = 64;
  int turns = 0;

  absl::StatusOr<v1::TurnEnded> Run(const v1::TurnRequest& turn) {
    ++turns;
    const bool drafts =
        turn.options().draft_sources() != v1::DRAFT_SOURCES_LOOKUP;
    v1::TurnEnded ended;
    ended.mutable_usage()->set_generated_tokens(tokens);
    v1::SpeculationStats& stats = *ended.mutable_speculation();
    stats.set_first_token_us(1000);
    stats.set_total_us(1000 + (tokens - 1) * (drafts ? drafted_us : plain_us));
    if (drafts) {
      stats.set_drafted_tokens(100);
      stats.set_accepted_tokens(71);
    }
    return ended;
  }

  absl::StatusOr<TrialResult> Try() {
    return TryDraft([this](const v1::TurnRequest& turn) { return Run(turn); });
  }
};

TEST(DraftTrialTest, ADraftThatIsFasterPays) {
  FakeTurns turns{.drafted_us = 10'000, .plain_us = 15'000};
  const auto result = turns.Try();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->gain(), 1.5, 1e-9);
  EXPECT_TRUE(result->pays());
  EXPECT_EQ(DescribeTrial(*result),
            "100.0 tokens/s with it, 66.7 without (1.50 times), 71% of drafted "
            "tokens accepted");
  EXPECT_EQ(turns.turns, 2 + 2 * kTrialPairs);
}

TEST(DraftTrialTest, OneThatIsSlowerOrHardlyFasterDoesNot) {
  for (const int64_t drafted_us : {20'000, 9'700}) {
    FakeTurns turns{.drafted_us = drafted_us, .plain_us = 10'000};
    const auto result = turns.Try();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->pays()) << result->gain();
  }
}

TEST(DraftTrialTest, AMachineThatIsTooSlowToMeasure) {
  FakeTurns turns{.drafted_us = 1'000'000, .plain_us = 1'000'000, .tokens = 4};
  const auto result = turns.Try();
  EXPECT_EQ(result.status().message(), "fewer than 8 tokens came in 4000 ms");
}

TEST(DraftTrialTest, AnErrorOfATurnEndsIt) {
  int turns = 0;
  const auto result = TryDraft([&turns](const v1::TurnRequest& turn) {
    EXPECT_THAT(turn.text(), HasSubstr("clockmaker"));
    EXPECT_EQ(turn.timeout_ms(), kTrialTurnMs);
    ++turns;
    return absl::StatusOr<v1::TurnEnded>(absl::UnavailableError("gone"));
  });
  EXPECT_EQ(result.status().message(), "gone");
  EXPECT_EQ(turns, 1);
}

}  // namespace
}  // namespace tandem::cli
