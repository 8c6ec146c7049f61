#include "services/coordinator/turn/turn_rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

MATCHER_P4(Is, drafted, accepted, tokens, from_lookup, "") {
  return arg.draft.drafted == drafted && arg.draft.accepted == accepted &&
         arg.tokens == tokens && arg.draft.from_lookup == from_lookup;
}

class TurnRoundsTest : public ::testing::Test {
 protected:
  void Add(int tokens, VerifiedDraft draft) {
    EmitAction emit{.first_token = tokens_, .draft = draft};
    emit.tokens.resize(static_cast<size_t>(tokens));
    tokens_ += tokens;
    emit.text_end = static_cast<size_t>(3 * tokens_);
    rounds_.Add(emit);
  }
  // Five rounds of 5, 1, 3, 2 and 2 tokens.
  void AddFive() {
    Add(5, {.drafted = 4, .accepted = 4});
    Add(1, {});
    Add(3, {.drafted = 6, .accepted = 2, .from_lookup = true});
    Add(2, {.drafted = 1, .accepted = 1});
    // The turn ended inside its draft.
    Add(2, {.drafted = 4, .accepted = 2});
  }

  int64_t tokens_ = 0;
  TurnRounds rounds_;
};

TEST_F(TurnRoundsTest, AGroupIsWholeRoundsAndOneAtLeast) {
  AddFive();
  const auto group_end = [this](int64_t tokens, int64_t tokens_max) {
    const TurnProgress end = rounds_.NextGroup(tokens, tokens_max);
    EXPECT_EQ(end.text_bytes, static_cast<size_t>(3 * end.tokens));
    return end.tokens;
  };
  EXPECT_EQ(group_end(0, 1), 5);
  EXPECT_EQ(group_end(0, 5), 5);
  EXPECT_EQ(group_end(0, 6), 6);
  EXPECT_EQ(group_end(0, 8), 6);
  EXPECT_EQ(group_end(0, 256), 13);
  EXPECT_EQ(group_end(3, 3), 6);
  EXPECT_EQ(group_end(5, 1), 6);
  EXPECT_EQ(group_end(12, 1), 13);
}

TEST_F(TurnRoundsTest, TellsWhereTokensAreFrom) {
  AddFive();
  EXPECT_THAT(
      rounds_.Between(0, 13),
      ElementsAre(Is(4, 4, 5, false), Is(0, 0, 1, false), Is(6, 2, 3, true),
                  Is(1, 1, 2, false), Is(4, 2, 2, false)));
  EXPECT_THAT(rounds_.Between(5, 9),
              ElementsAre(Is(0, 0, 1, false), Is(6, 2, 3, true)));
  EXPECT_THAT(rounds_.Between(13, 13), IsEmpty());
}

// Each token is as drafted as it was in the whole round.
TEST_F(TurnRoundsTest, OfABrokenRoundTheRestCounts) {
  AddFive();
  EXPECT_THAT(rounds_.Between(1, 5), ElementsAre(Is(3, 3, 4, false)));
  EXPECT_THAT(rounds_.Between(4, 6),
              ElementsAre(Is(0, 0, 1, false), Is(0, 0, 1, false)));
  EXPECT_THAT(rounds_.Between(7, 9), ElementsAre(Is(5, 1, 2, true)));
  // The target's own token of a round whose draft was partly wrong.
  EXPECT_THAT(rounds_.Between(8, 9), ElementsAre(Is(4, 0, 1, true)));
  EXPECT_THAT(rounds_.Between(12, 13), ElementsAre(Is(3, 1, 1, false)));
}

TEST_F(TurnRoundsTest, KnowsAboutWhatItTakes) {
  EXPECT_EQ(rounds_.bytes(), 0);
  for (int i = 0; i < 1000; ++i) Add(1, {});
  EXPECT_GE(rounds_.bytes(), 1000 * 16);
  EXPECT_LE(rounds_.bytes(), 2 * 1024 * 16);
}

}  // namespace
}  // namespace tandem
