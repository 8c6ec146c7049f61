#include "engine/speculation/ngram_drafter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

using ::testing::ElementsAre;

NgramDrafter Make(const std::vector<TokenId>& tokens) {
  NgramDrafter drafter;
  for (const TokenId token : tokens) drafter.Append(token);
  return drafter;
}

std::vector<TokenId> DraftAfter(const std::vector<TokenId>& tokens,
                                int length) {
  const NgramDrafter drafter = Make(tokens);
  const NgramDrafter::Match match = drafter.Find();
  if (match.length == 0) return {};
  return drafter.Draft(match, length);
}

TEST(NgramDrafterTest, NothingFollowsANewText) {
  EXPECT_EQ(NgramDrafter().Find().length, 0);
  for (const std::vector<TokenId>& tokens :
       std::vector<std::vector<TokenId>>{{1}, {1, 2}, {1, 2, 3, 4, 5}}) {
    EXPECT_EQ(Make(tokens).Find().length, 0);
  }
  // One token that agrees is not enough.
  EXPECT_EQ(Make({7, 1, 2, 3, 7}).Find().length, 0);
}

TEST(NgramDrafterTest, GivesWhatFollowedTheLastTime) {
  EXPECT_THAT(DraftAfter({1, 2, 3, 4, 5, 9, 1, 2}, 3), ElementsAre(3, 4, 5));
  // The newest of several places.
  EXPECT_THAT(DraftAfter({1, 2, 3, 8, 1, 2, 4, 9, 1, 2}, 2), ElementsAre(4, 9));
}

TEST(NgramDrafterTest, PrefersTheLongestRun) {
  // After 1 2 came 9 the last time, but after 5 6 1 2 it was 3.
  EXPECT_THAT(DraftAfter({5, 6, 1, 2, 3, 4, 1, 2, 9, 5, 6, 1, 2}, 2),
              ElementsAre(3, 4));
}

TEST(NgramDrafterTest, MeasuresTheMatch) {
  EXPECT_EQ(Make({1, 2, 8, 1, 2}).Find().length, 2);
  EXPECT_EQ(Make({1, 2, 3, 8, 1, 2, 3}).Find().length, 3);
  std::vector<TokenId> tokens;
  for (TokenId id = 0; id < 10; ++id) tokens.push_back(id);
  for (TokenId id = 0; id < 10; ++id) tokens.push_back(id);
  EXPECT_EQ(Make(tokens).Find().length, NgramDrafter::kLongestRun);
}

TEST(NgramDrafterTest, AShortCycleGoesOn) {
  EXPECT_THAT(DraftAfter({1, 2, 1, 2, 1, 2}, 5), ElementsAre(1, 2, 1, 2, 1));
  EXPECT_THAT(DraftAfter({4, 4, 4, 4}, 3), ElementsAre(4, 4, 4));
}

// Against a plain search of the whole text.
TEST(NgramDrafterTest, FindsWhatAPlainSearchFinds) {
  std::mt19937 random(1);
  int found = 0;
  int missed = 0;
  for (int round = 0; round < 200; ++round) {
    const TokenId alphabet = 2 + static_cast<TokenId>(random() % 30);
    std::vector<TokenId> tokens;
    NgramDrafter drafter;
    for (int i = 0; i < 300; ++i) {
      tokens.push_back(static_cast<TokenId>(random() % alphabet));
      drafter.Append(tokens.back());
      const int size = static_cast<int>(tokens.size());
      int run = 0;
      int next = 0;
      for (int n = NgramDrafter::kLongestRun;
           n >= NgramDrafter::kShortestRun && run == 0; --n) {
        for (int end = size - 1; end >= n && run == 0; --end) {
          if (std::equal(tokens.end() - n, tokens.end(),
                         tokens.begin() + end - n)) {
            run = n;
            next = end;
          }
        }
      }
      const NgramDrafter::Match match = drafter.Find();
      if (run == 0) {
        ASSERT_EQ(match.length, 0);
        continue;
      }
      ++found;
      // A newer run may have taken the slot of this one.
      if (match.length < run || static_cast<int>(match.next) != next) {
        ++missed;
        continue;
      }
    }
  }
  // With three runs a token and 8 to 16 slots, an eighth of what was entered is
  // overwritten in the mean.
  EXPECT_LE(missed * 8, found);
}

TEST(NgramDrafterTest, ForgetsWhatIsFarBackAndStaysRight) {
  std::mt19937 random(2);
  NgramDrafter drafter;
  for (int i = 0; i < 5 * NgramDrafter::kWindow; ++i) {
    drafter.Append(static_cast<TokenId>(random() % 50000));
    const NgramDrafter::Match match = drafter.Find();
    if (match.length > 0) drafter.Draft(match, 16);
  }
  for (const TokenId token : {1, 2, 3, 4, 5, 1, 2, 3}) drafter.Append(token);
  EXPECT_THAT(drafter.Draft(drafter.Find(), 2), ElementsAre(4, 5));
}

TEST(NgramDrafterTest, TheSameTokensGiveTheSameDraft) {
  std::mt19937 random(3);
  NgramDrafter one;
  NgramDrafter other;
  for (int i = 0; i < 3000; ++i) {
    const TokenId token = static_cast<TokenId>(random() % 20);
    one.Append(token);
    other.Append(token);
    ASSERT_EQ(one.Find().length, other.Find().length);
    ASSERT_EQ(one.Find().next, other.Find().next);
  }
}

}  // namespace
}  // namespace tandem
