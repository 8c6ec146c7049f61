#include "services/coordinator/turn/draft_priors.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tandem {
namespace {

// A controller that has seen many drafts, all right or all wrong.
DraftController Taught(bool right) {
  DraftController controller;
  for (int i = 0; i < 50; ++i) {
    controller.OnRound({.source = DraftSource::kModel,
                        .drafted = 2,
                        .accepted = right ? 2 : 0,
                        .lookup_match = 0,
                        .us = 0});
  }
  return controller;
}

// Tokens a round, where rounds cost the same.
double Rate(DraftController controller) {
  const std::vector<StepCost> costs = {{.rows = 1, .us = 1000}};
  controller.cost().SetTarget(CostCurve(costs), {.sequences = 1});
  return controller.Rate(DraftSource::kModel, 2, 0);
}

TEST(DraftPriorsTest, ANewSessionBeginsWithWhatTheLastOneKnew) {
  DraftPriors priors;
  const double unknown = Rate(priors.Get("fp"));
  priors.Put("fp", Taught(true));
  EXPECT_GT(Rate(priors.Get("fp")), unknown);
  EXPECT_EQ(Rate(priors.Get("other")), unknown);
  priors.Put("fp", Taught(false));
  EXPECT_LT(Rate(priors.Get("fp")), unknown);
}

TEST(DraftPriorsTest, ItsOwnDraftsSoonOutweighThePrior) {
  DraftPriors priors;
  priors.Put("fp", Taught(true));
  DraftController controller = priors.Get("fp");
  for (int i = 0; i < 10; ++i) {
    controller.OnRound({.source = DraftSource::kModel,
                        .drafted = 2,
                        .accepted = 0,
                        .lookup_match = 0,
                        .us = 0});
  }
  EXPECT_LT(Rate(controller), Rate(DraftController()));
}

TEST(DraftPriorsTest, CreditIsHandedOutOnce) {
  DraftPriors priors;
  DraftController controller;
  controller.AddOpeningCredit(100);
  priors.Put("fp", controller);
  priors.Put("fp", controller);
  EXPECT_EQ(priors.Get("fp").opening_credit_us(), 200);
  EXPECT_EQ(priors.Get("fp").opening_credit_us(), 0);
}

TEST(DraftPriorsTest, KeepsAFewHundredModels) {
  DraftPriors priors;
  for (size_t i = 0; i < 2 * DraftPriors::kFingerprintsMax; ++i) {
    priors.Put(std::to_string(i), Taught(true));
  }
  const double unknown = Rate(DraftController());
  EXPECT_GT(Rate(priors.Get("0")), unknown);
  EXPECT_EQ(Rate(priors.Get("400")), unknown);
}

TEST(DraftPriorsTest, AnyThreadMayCall) {
  DraftPriors priors;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&priors, i] {
      for (int round = 0; round < 200; ++round) {
        priors.Put(std::to_string(round % 3), Taught(i % 2 == 0));
        priors.Get(std::to_string(round % 3));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tandem
