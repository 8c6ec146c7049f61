#include "tools/tandem/chat/figures.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::TokensGenerated PlainEvent() {
  v1::TokensGenerated event;
  event.add_rounds()->set_tokens(1);
  return event;
}

// 11 rounds of 2 tokens; after the first token 10 rounds of 10 ms, 2 ms of it
// the draft worker's.
TurnRecord DraftedTurn() {
  TurnRecord record;
  record.ended.mutable_usage()->set_generated_tokens(22);
  v1::SpeculationStats* const stats = record.ended.mutable_speculation();
  stats->set_rounds(11);
  stats->set_drafted_tokens(44);
  stats->set_accepted_tokens(11);
  stats->set_draft_us(22000);
  stats->set_first_token_us(10000);
  stats->set_total_us(110000);
  return record;
}

TEST(PlainRoundsTest, TheMedianOfTheTimesBetweenEvents) {
  PlainRounds rounds;
  absl::Time now = absl::UnixEpoch();
  rounds.BeginTurn();
  for (int i = 0; i < 9; ++i) {
    EXPECT_FALSE(rounds.Median().has_value()) << i;
    rounds.Add(PlainEvent(), now);
    now += absl::Milliseconds(i == 4 ? 1000 : 5);
  }
  EXPECT_EQ(rounds.Median(), absl::Milliseconds(5));
}

TEST(PlainRoundsTest, OnlyPlainRoundsAndOnlyWithinATurn) {
  PlainRounds rounds;
  absl::Time now = absl::UnixEpoch();
  v1::TokensGenerated drafted = PlainEvent();
  drafted.mutable_rounds(0)->set_drafted_tokens(2);
  v1::TokensGenerated two = PlainEvent();
  two.add_rounds()->set_tokens(1);
  for (int i = 0; i < 40; ++i) {
    rounds.BeginTurn();
    for (const v1::TokensGenerated& event : {PlainEvent(), drafted, two}) {
      rounds.Add(event, now);
      now += absl::Milliseconds(5);
    }
  }
  EXPECT_FALSE(rounds.Median().has_value());
}

TEST(PlainRoundsTest, OldTimesAreForgotten) {
  PlainRounds rounds;
  absl::Time now = absl::UnixEpoch();
  for (int i = 0; i < 200; ++i) {
    rounds.Add(PlainEvent(), now);
    now += absl::Milliseconds(i < 130 ? 5 : 7);
  }
  EXPECT_EQ(rounds.Median(), absl::Milliseconds(7));
}

TEST(EstimateGainTest, FromMeasuredPlainRounds) {
  const std::optional<DraftGain> gain =
      EstimateGain(DraftedTurn().ended, absl::Milliseconds(6));
  ASSERT_TRUE(gain.has_value());
  EXPECT_TRUE(gain->is_measured);
  EXPECT_DOUBLE_EQ(gain->times, 2 * 6.0 / 10);
}

TEST(EstimateGainTest, AtMostWhereNoneWasMeasured) {
  const std::optional<DraftGain> gain =
      EstimateGain(DraftedTurn().ended, std::nullopt);
  ASSERT_TRUE(gain.has_value());
  EXPECT_FALSE(gain->is_measured);
  EXPECT_DOUBLE_EQ(gain->times, 2 * 8.0 / 10);
}

TEST(EstimateGainTest, NothingWithoutDraftsOrForFewRounds) {
  TurnRecord record = DraftedTurn();
  record.ended.mutable_speculation()->set_rounds(3);
  EXPECT_FALSE(EstimateGain(record.ended, std::nullopt).has_value());
  record = DraftedTurn();
  record.ended.mutable_speculation()->set_drafted_tokens(0);
  EXPECT_FALSE(EstimateGain(record.ended, std::nullopt).has_value());
  EXPECT_FALSE(EstimateGain(v1::TurnEnded(), std::nullopt).has_value());
}

TEST(FigureLineTest, SaysSpeedAcceptanceFirstTokenAndGain) {
  EXPECT_EQ(FigureLine(DraftedTurn(), absl::Milliseconds(6)),
            "200.0 tokens/s, 25% of 44 drafted tokens accepted, first token "
            "after 10 ms, about 1.2 times as fast as without drafts");
  EXPECT_THAT(FigureLine(DraftedTurn(), std::nullopt),
              HasSubstr("at most 1.6 times"));
  TurnRecord plain = DraftedTurn();
  plain.ended.mutable_speculation()->set_drafted_tokens(0);
  EXPECT_THAT(FigureLine(plain, std::nullopt),
              HasSubstr("nothing was drafted"));
  EXPECT_THAT(FigureLine(plain, std::nullopt), Not(HasSubstr("times")));
}

TEST(ConversationFiguresTest, SumsUp) {
  const TurnRecord turn = DraftedTurn();
  EXPECT_EQ(ConversationFigures({&turn, &turn}),
            "conversation: 2 turns, 44 tokens in 0.22 s (200.0/s), 22 rounds, "
            "25% of 88 drafted tokens accepted\n");
}

}  // namespace
}  // namespace tandem::cli
