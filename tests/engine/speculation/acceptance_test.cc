#include "engine/speculation/acceptance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace tandem {
namespace {

// A draft of `length` whose tokens are right with these chances.
int Draw(double first, double later, int length, std::mt19937* random) {
  std::uniform_real_distribution<> uniform(0, 1);
  int accepted = 0;
  while (accepted < length &&
         uniform(*random) < (accepted == 0 ? first : later)) {
    ++accepted;
  }
  return accepted;
}

TEST(AcceptanceTest, BeginsWithThePrior) {
  const Acceptance acceptance(0.5);
  EXPECT_DOUBLE_EQ(acceptance.Chance(0), 0.5);
  EXPECT_DOUBLE_EQ(acceptance.Chance(15), 0.5);
  EXPECT_DOUBLE_EQ(acceptance.Expected(0), 0);
  EXPECT_DOUBLE_EQ(acceptance.Expected(3), 0.5 + 0.25 + 0.125);
}

TEST(AcceptanceTest, LearnsTheChanceOfEachPosition) {
  std::mt19937 random(1);
  Acceptance acceptance(0.5);
  for (int i = 0; i < 2000; ++i) {
    acceptance.Add(4, Draw(0.9, 0.4, 4, &random));
    acceptance.Age();
  }
  // 256 trials, of which ageing leaves less at the later positions: a standard
  // deviation of 0.02 and 0.04, and the pool pulls by a tenth at most.
  EXPECT_NEAR(acceptance.Chance(0), 0.9, 0.12);
  EXPECT_NEAR(acceptance.Chance(1), 0.4, 0.2);
  EXPECT_GT(acceptance.Chance(0), acceptance.Chance(1) + 0.2);
}

TEST(AcceptanceTest, WhatWasNotSeenGoesByTheRest) {
  Acceptance high(0.5);
  Acceptance low(0.5);
  for (int i = 0; i < 50; ++i) {
    high.Add(2, 2);
    low.Add(2, 0);
  }
  EXPECT_GT(high.Chance(10), 0.9);
  EXPECT_LT(low.Chance(10), 0.1);
  EXPECT_DOUBLE_EQ(high.AllRight(0), 1);
  EXPECT_DOUBLE_EQ(high.AllRight(2), high.Chance(0) * high.Chance(1));
}

TEST(AcceptanceTest, WhatFollowsAnErrorIsNoTrial) {
  Acceptance one(0.5);
  Acceptance other(0.5);
  one.Add(1, 0);
  other.Add(16, 0);
  EXPECT_DOUBLE_EQ(one.Chance(3), other.Chance(3));
}

TEST(AcceptanceTest, AgeKeepsTheEstimateAndLetsNewEvidenceIn) {
  Acceptance acceptance(0.5);
  for (int i = 0; i < 200; ++i) acceptance.Add(1, 0);
  const double before = acceptance.Chance(0);
  Acceptance aged = acceptance;
  for (int i = 0; i < 5000; ++i) aged.Age();
  // Eight trials of it are left, beside the pool of eight and eight of a prior.
  EXPECT_NEAR(aged.Chance(0), before, 0.13);
  for (int i = 0; i < 8; ++i) {
    acceptance.Add(1, 1);
    aged.Add(1, 1);
  }
  EXPECT_LT(acceptance.Chance(0), 0.2);
  EXPECT_GT(aged.Chance(0), 0.35);
}

TEST(AcceptanceTest, ExpectedRisesWithTheLengthAndStaysBelowIt) {
  Acceptance acceptance(0.8);
  for (int length = 1; length <= kDraftLengthLimit; ++length) {
    EXPECT_GT(acceptance.Expected(length), acceptance.Expected(length - 1));
    EXPECT_LT(acceptance.Expected(length), length);
  }
}

}  // namespace
}  // namespace tandem
