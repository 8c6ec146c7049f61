#include "engine/speculation/round_cost.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

CostCurve Passes(double first_us, double row_us) {
  std::vector<StepCost> costs;
  for (int rows = 1; rows <= 17; ++rows) {
    costs.push_back({.rows = rows, .us = first_us + (rows - 1) * row_us});
  }
  return CostCurve(costs);
}

TEST(RoundCostTest, KnowsNothingAtFirst) {
  RoundCost cost;
  EXPECT_FALSE(cost.known());
  EXPECT_FALSE(cost.draft_known());
  cost.SetTarget(CostCurve(), {.sequences = 4});
  cost.SetDraft(CostCurve(), 4);
  EXPECT_FALSE(cost.known());
  EXPECT_FALSE(cost.draft_known());
  EXPECT_EQ(cost.DraftUs(0), 0);
}

TEST(RoundCostTest, PassesAloneGiveTheCosts) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 10), {.sequences = 1});
  cost.SetDraft(Passes(100, 1), 1);
  EXPECT_DOUBLE_EQ(cost.VerifyUs(0), 1000);
  EXPECT_DOUBLE_EQ(cost.VerifyUs(4), 1040);
  EXPECT_DOUBLE_EQ(cost.DraftUs(3), 300);
  EXPECT_DOUBLE_EQ(cost.DraftUs(0), 0);
}

TEST(RoundCostTest, EverySequenceOfAPassCounts) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 10), {.sequences = 4});
  cost.SetDraft(Passes(100, 1), 4);
  EXPECT_DOUBLE_EQ(cost.VerifyUs(0), 1030);
  EXPECT_DOUBLE_EQ(cost.VerifyUs(2), 1110);
  EXPECT_DOUBLE_EQ(cost.DraftUs(2), 208);
}

TEST(RoundCostTest, WhatTheSessionSeesComesOnTop) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 10), {.sequences = 1});
  cost.SetDraft(Passes(100, 1), 1);
  for (int i = 0; i < 100; ++i) {
    cost.OnVerified(4, 1540, 0);    // 500 more
    cost.OnProposed(4, 1, 600, 0);  // 200 more
  }
  EXPECT_NEAR(cost.VerifyUs(4), 1540, 1);
  // Of the other lengths nothing else is known.
  EXPECT_NEAR(cost.VerifyUs(0), 1500, 1);
  EXPECT_NEAR(cost.DraftUs(4), 600, 1);
  EXPECT_NEAR(cost.DraftUs(1), 300, 1);
  // Until it is: passes of one row are not what was reported.
  for (int i = 0; i < 100; ++i) cost.OnVerified(0, 800, 0);
  EXPECT_LT(cost.VerifyUs(0), 1050);
}

TEST(RoundCostTest, TokensThatTheDrafterLackedAreNotItsDraft) {
  RoundCost cost;
  cost.SetDraft(Passes(100, 10), 1);
  for (int i = 0; i < 50; ++i) cost.OnProposed(2, 11, 300, 0);
  EXPECT_NEAR(cost.DraftUs(2), 200, 1);
}

// A draft that was right to its end leaves two tokens for the next to begin
// with, and all sequences' are in one pass.
TEST(RoundCostTest, ADraftBeginsWithWhatAllHaveBroughtSince) {
  const auto draft_us = [](int rows) {
    RoundCost cost;
    cost.SetTarget(Passes(1000, 100), {.sequences = 4, .takes_turns = true});
    cost.SetDraft(Passes(100, 10), 4);
    for (int i = 0; i < 200; ++i) cost.OnProposed(3, rows, 500, 500);
    return cost.DraftUs(3);
  };
  EXPECT_NEAR(draft_us(1), 3 * 130, 1);
  EXPECT_NEAR(draft_us(2), 3 * 130 + 4 * 10, 1);
  // After rounds without a draft there are more, once.
  EXPECT_NEAR(draft_us(9), draft_us(2), 1);
}

// Drafting, which keeps the processors busy, makes no rounds dear that do not.
TEST(RoundCostTest, OfACrowdRoundsWithDraftsTellNothingOfThoseWithout) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 100), {.sequences = 4});
  for (int i = 0; i < 50; ++i) cost.OnVerified(0, 1400, 1300);
  EXPECT_NEAR(cost.VerifyUs(0), 1300 + 100, 1);
  EXPECT_NEAR(cost.VerifyUs(2), 2100 + 100, 1);
  for (int i = 0; i < 50; ++i) cost.OnVerified(2, 3000, 2100);
  EXPECT_NEAR(cost.VerifyUs(0), 1300 + 100, 1);
  EXPECT_NEAR(cost.VerifyUs(2), 2100 + 900, 20);
  EXPECT_NEAR(cost.VerifyUs(3), 2500 + 900, 20);
}

// While none drafts the drafter's passes have few sequences.
TEST(RoundCostTest, WhereAllDraftTheDraftersPassesAreShared) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 100), {.sequences = 8, .takes_turns = true});
  cost.SetDraft(Passes(100, 10), 1);
  for (int i = 0; i < 200; ++i) cost.OnProposed(3, 1, 500, 500);
  EXPECT_NEAR(cost.DraftUs(3), 3 * 170, 1);
  // A target of its own cores may have drafters of many.
  cost.SetTarget(Passes(1000, 100), {.sequences = 8});
  cost.SetDraft(Passes(100, 10), 1);
  EXPECT_NEAR(cost.DraftUs(3), 3 * 100, 1);
}

TEST(RoundCostTest, OneAccidentChangesLittle) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 10), {.sequences = 1});
  cost.SetDraft(Passes(100, 1), 1);
  for (int i = 0; i < 20; ++i) {
    cost.OnVerified(4, 1040, 0);
    cost.OnProposed(4, 1, 400, 0);
  }
  cost.OnVerified(4, 1e6, 0);
  cost.OnProposed(4, 1, 1e6, 0);
  EXPECT_LT(cost.VerifyUs(4), 1.4 * 1040);
  EXPECT_LT(cost.DraftUs(4), 1.4 * 400);
}

// Drafts would look as if they cost nothing.
TEST(RoundCostTest, AnAccidentInTheFirstRoundChangesLittle) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 100), {.sequences = 4});
  cost.OnVerified(0, 1e6, 1300);
  EXPECT_LT(cost.VerifyUs(0), 2.1 * 1300);
  EXPECT_GT(cost.VerifyUs(16), 3 * cost.VerifyUs(0));
  // A way that is long each time is learned.
  for (int i = 0; i < 30; ++i) cost.OnVerified(0, 20000, 1300);
  EXPECT_NEAR(cost.VerifyUs(0), 20000, 1000);
}

// Else each would draft longer because the others do.
TEST(RoundCostTest, WaitingForOthersIsNoCostOfALength) {
  RoundCost cost;
  cost.SetTarget(Passes(1000, 10), {.sequences = 4});
  cost.SetDraft(Passes(100, 1), 1);
  for (int i = 0; i < 100; ++i) {
    cost.OnVerified(4, 50000, 49700);
    cost.OnProposed(4, 1, 30000, 29800);
  }
  EXPECT_NEAR(cost.VerifyUs(4), 1190 + 300, 1);
  EXPECT_NEAR(cost.DraftUs(4), 400 + 200, 1);
  // But for how long an answer may be waited for.
  EXPECT_NEAR(cost.ProposalUs(4), cost.DraftUs(4) + cost.VerifyUs(4), 1);
}

TEST(RoundCostTest, StreamsThatMissAPassNeedAnother) {
  RoundCost together;
  RoundCost apart;
  RoundCost in_turns;
  together.SetTarget(Passes(1000, 10), {.sequences = 4, .streams = 4});
  apart.SetTarget(Passes(1000, 10), {.sequences = 4, .streams = 6});
  in_turns.SetTarget(Passes(1000, 10),
                     {.sequences = 4, .streams = 6, .takes_turns = true});
  for (RoundCost* cost : {&together, &apart, &in_turns}) {
    cost->SetDraft(Passes(300, 0), 4);
  }
  // All of them come to one pass where none drafts.
  EXPECT_DOUBLE_EQ(apart.VerifyUs(0), 1050);
  EXPECT_DOUBLE_EQ(together.VerifyUs(1), 1070);
  EXPECT_DOUBLE_EQ(apart.VerifyUs(1), 1.5 * 1070);
  EXPECT_DOUBLE_EQ(in_turns.VerifyUs(1), 1.5 * 1070);
  EXPECT_DOUBLE_EQ(together.DraftUs(3), 900);
  // Half a pass of the target's goes by anyway.
  EXPECT_DOUBLE_EQ(apart.DraftUs(3), 900 - 0.5 * 1150);
  EXPECT_DOUBLE_EQ(in_turns.DraftUs(3), 1.5 * 900);
}

TEST(RoundCostTest, WithoutReportsTheSessionsOwnTimesServe) {
  RoundCost cost;
  for (int i = 0; i < 50; ++i) {
    cost.OnVerified(0, 1000, 0);
    cost.OnVerified(4, 1400, 0);
    cost.OnProposed(4, 1, 400, 0);
  }
  EXPECT_TRUE(cost.known());
  EXPECT_TRUE(cost.draft_known());
  EXPECT_NEAR(cost.VerifyUs(2), 1000, 1);
  EXPECT_NEAR(cost.VerifyUs(3), 1120, 1);
  EXPECT_NEAR(cost.VerifyUs(4), 1400, 1);
  EXPECT_NEAR(cost.DraftUs(1), 100, 1);
}

TEST(RoundCostTest, NeverFallsWithTheLengthAndStaysAboveZero) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    RoundCost cost;
    if (round % 3 > 0)
      cost.SetTarget(Passes(1 + random() % 1000, 3), {.sequences = 2});
    for (int i = 0; i < 30; ++i) {
      cost.OnVerified(static_cast<int>(random() % 17), random() % 3000, 0);
    }
    double last = 0;
    for (int length = 0; length <= kDraftLengthLimit; ++length) {
      ASSERT_GE(cost.VerifyUs(length), last);
      last = cost.VerifyUs(length);
    }
  }
}

}  // namespace
}  // namespace tandem
