#include "engine/speculation/draft_accord.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace tandem {
namespace {

// Draft length `best` saves `share` of the time, others nothing.
DraftAccord::Gains Saving(int best, double share = 0.5) {
  DraftAccord::Gains gains;
  gains.fill(-0.1);
  gains[best] = share;
  return gains;
}

TEST(DraftAccordTest, GathersWhatAllHaveSeen) {
  DraftAccord accord(0.5);
  EXPECT_EQ(accord.length(), std::nullopt);
  EXPECT_DOUBLE_EQ(accord.acceptance().Chance(0), 0.5);
  std::vector<std::thread> sessions;
  for (int session = 0; session < 4; ++session) {
    sessions.emplace_back([&accord, session] {
      for (int i = 0; i < 100; ++i) {
        // Three of four are always right.
        accord.Add(2, session == 0 ? 0 : 2);
        accord.Weigh(accord.length(), Saving(session), 1, 4);
      }
    });
  }
  for (std::thread& session : sessions) session.join();
  ASSERT_TRUE(accord.length().has_value());
  EXPECT_GE(*accord.length(), 0);
  EXPECT_LE(*accord.length(), 3);
  EXPECT_GT(accord.acceptance().Chance(0), 0.2);
  EXPECT_LT(accord.acceptance().Chance(0), 1);
  // What came last weighs more, and what was seen before does not stay.
  for (int i = 0; i < 1000; ++i) accord.Add(2, 2);
  EXPECT_GT(accord.acceptance().Chance(0), 0.95);
}

TEST(DraftAccordTest, SpreadsOpeningsOverTheTokensOfTurnsLately) {
  DraftAccord accord(0.5);
  EXPECT_EQ(accord.OpeningUsPerToken(), 0);
  accord.AddTurn(1000, 100);
  EXPECT_DOUBLE_EQ(accord.OpeningUsPerToken(), 10);
  // A long turn weighs as much as its tokens are.
  accord.AddTurn(1000, 1000000);
  EXPECT_LT(accord.OpeningUsPerToken(), 0.01);
  for (int i = 0; i < 1000; ++i) accord.AddTurn(500, 10);
  EXPECT_NEAR(accord.OpeningUsPerToken(), 50, 0.01);
}

TEST(DraftAccordTest, TheFirstToSpeakDecides) {
  DraftAccord accord(0.5);
  accord.Weigh(std::nullopt, Saving(3), 8, 4);
  EXPECT_EQ(accord.length(), 3);
  DraftAccord other(0.5);
  other.Weigh(std::nullopt, Saving(0, -0.01), 8, 4);
  EXPECT_EQ(other.length(), 0);
}

TEST(DraftAccordTest, ChangesOnceAsMuchWouldHaveBeenSaved) {
  DraftAccord accord(0.5);
  accord.Weigh(std::nullopt, Saving(0), 8, 4);
  // A tenth of 120 rounds of one of four is three rounds of all.
  int rounds = 0;
  while (accord.length() == 0 && rounds < 1000) {
    accord.Weigh(0, Saving(2, 0.1), 1, 4);
    ++rounds;
  }
  EXPECT_EQ(accord.length(), 2);
  EXPECT_NEAR(rounds, 120, 1);
  // Once changed, what was saved before is no reason for the next.
  accord.Weigh(2, Saving(2, 0), 1, 4);
  EXPECT_EQ(accord.length(), 2);
}

TEST(DraftAccordTest, OnesWhoseViewsDifferDoNotChangeItToAndFro) {
  DraftAccord accord(0.5);
  accord.Weigh(std::nullopt, Saving(0), 8, 4);
  for (int i = 0; i < 1000; ++i) {
    // One sees more than the others lose by it.
    accord.Weigh(0, Saving(2, i % 4 == 0 ? 0.2 : -0.1), 1, 4);
    ASSERT_EQ(accord.length(), 0);
  }
}

TEST(DraftAccordTest, WhatWasMeantForAnotherLengthIsNotHeard) {
  DraftAccord accord(0.5);
  accord.Weigh(std::nullopt, Saving(4), 8, 4);
  accord.Weigh(0, Saving(2), 1000, 4);
  EXPECT_EQ(accord.length(), 4);
}

}  // namespace
}  // namespace tandem
