#include "engine/speculation/speculator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Ends as it once did before 3 4 5.
const std::vector<TokenId> kRepeating = {1, 2, 3, 4, 5, 1, 2};

DraftPlan Plan(const GenOptions& options, const std::vector<TokenId>& prompt,
               int model_max) {
  DraftController controller;
  Speculator speculator(&controller, options);
  return speculator.PlanRound({.prompt = prompt,
                               .generated = {},
                               .length_max = 16,
                               .model_max = model_max});
}

TEST(SpeculatorTest, LengthsAndSourcesThatOptionsAllow) {
  EXPECT_EQ(DraftLengthMax({}), kDraftLengthLimit);
  EXPECT_EQ(DraftLengthMax({.draft_length = 3}), 3);
  EXPECT_EQ(DraftLengthMax({.draft_length_max = 5}), 5);
  EXPECT_EQ(DraftLengthMax({.draft_length = 3, .draft_length_max = 1}), 3);
  EXPECT_TRUE(MayUseModel({}));
  EXPECT_TRUE(MayUseModel({.draft_sources = DraftSources::kModel}));
  EXPECT_FALSE(MayUseModel({.draft_sources = DraftSources::kLookup}));
  EXPECT_FALSE(MayUseModel({.draft_length = 0}));
  EXPECT_FALSE(MayUseModel({.draft_length_max = 0}));
}

TEST(SpeculatorTest, AFixedLengthIsTheModelsWhereThereIsOne) {
  DraftPlan plan = Plan({.draft_length = 5}, kRepeating, 16);
  EXPECT_EQ(plan.source, DraftSource::kModel);
  EXPECT_EQ(plan.length, 5);
  plan = Plan({.draft_length = 5}, kRepeating, 3);
  EXPECT_EQ(plan.length, 3);
  // Else lookup's, where it finds something.
  plan = Plan({.draft_length = 3}, kRepeating, 0);
  EXPECT_EQ(plan.source, DraftSource::kLookup);
  EXPECT_THAT(plan.draft, ElementsAre(3, 4, 5));
  EXPECT_EQ(Plan({.draft_length = 3}, {1, 2, 3}, 0).source, DraftSource::kNone);
}

TEST(SpeculatorTest, OnlyTheSourcesAskedFor) {
  DraftPlan plan =
      Plan({.draft_length = 2, .draft_sources = DraftSources::kLookup},
           kRepeating, 16);
  EXPECT_EQ(plan.source, DraftSource::kLookup);
  EXPECT_THAT(plan.draft, ElementsAre(3, 4));
  plan = Plan({.draft_length = 2, .draft_sources = DraftSources::kModel},
              kRepeating, 0);
  EXPECT_EQ(plan.source, DraftSource::kNone);
  plan = Plan({.draft_sources = DraftSources::kModel}, kRepeating, 16);
  EXPECT_EQ(plan.source, DraftSource::kModel);
}

TEST(SpeculatorTest, ZeroIsOff) {
  EXPECT_EQ(Plan({.draft_length = 0}, kRepeating, 16).source,
            DraftSource::kNone);
  EXPECT_EQ(Plan({.draft_length_max = 0}, kRepeating, 16).source,
            DraftSource::kNone);
}

TEST(SpeculatorTest, TheCapHoldsForBothSources) {
  EXPECT_EQ(Plan({.draft_length_max = 2}, kRepeating, 16).length, 2);
  const DraftPlan plan =
      Plan({.draft_length_max = 2, .draft_sources = DraftSources::kLookup},
           kRepeating, 0);
  EXPECT_EQ(plan.draft.size(), 2u);
}

TEST(SpeculatorTest, ABusyDrafterIsNotAsked) {
  DraftController controller;
  Speculator speculator(&controller, {.draft_length = 4});
  const RoundRoom room = {
      .prompt = kRepeating, .generated = {}, .length_max = 16, .model_max = 16};
  speculator.SetModelBusy(true);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kLookup);
  speculator.SetModelBusy(false);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kModel);
}

TEST(SpeculatorTest, LooksThroughGeneratedTokensToo) {
  DraftController controller;
  Speculator speculator(
      &controller, {.draft_length = 2, .draft_sources = DraftSources::kLookup});
  const std::vector<TokenId> prompt = {1, 2, 3, 4};
  std::vector<TokenId> generated;
  const auto plan = [&] {
    return speculator.PlanRound({.prompt = prompt,
                                 .generated = generated,
                                 .length_max = 16,
                                 .model_max = 0});
  };
  EXPECT_THAT(plan().draft, IsEmpty());
  generated = {9, 1, 2};
  EXPECT_THAT(plan().draft, ElementsAre(3, 4));
  generated = {9, 1, 2, 9, 1};
  EXPECT_THAT(plan().draft, ElementsAre(2, 9));
}

TEST(SpeculatorTest, OfALongPromptTheEndCounts) {
  std::vector<TokenId> prompt(100000);
  for (size_t i = 0; i < prompt.size(); ++i) {
    prompt[i] = static_cast<TokenId>(i);
  }
  prompt.insert(prompt.end(), kRepeating.begin(), kRepeating.end());
  EXPECT_THAT(Plan({.draft_length = 2}, prompt, 0).draft, ElementsAre(3, 4));
}

TEST(SpeculatorTest, RoundsTeachTheController) {
  DraftController controller;
  Speculator speculator(&controller, {});
  const RoundRoom room = {
      .prompt = kRepeating, .generated = {}, .length_max = 16, .model_max = 16};
  for (int i = 0; i < 30; ++i) {
    const DraftPlan plan = speculator.PlanRound(room);
    int drafted = static_cast<int>(plan.draft.size());
    if (plan.source == DraftSource::kModel) {
      drafted = plan.length;
      speculator.OnProposed(drafted, 1, 100 * drafted, 0);
    }
    speculator.OnVerified(drafted, 1000, 0);
    // The model is always wrong, the text repeats.
    speculator.OnRound(drafted,
                       plan.source == DraftSource::kModel ? 0 : drafted);
  }
  EXPECT_GT(controller.total_us(), 30 * 1000 - 1);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kLookup);
}

TEST(SpeculatorTest, ADraftThatNeverCameIsPaidForAndProvesNothing) {
  DraftController controller;
  Speculator speculator(&controller, {.draft_length = 4});
  const double before = controller.Rate(DraftSource::kModel, 4, 0);
  speculator.OnProposed(4, 1, 400, 0);
  speculator.OnVerified(4, 1000, 0);
  const double rate = controller.Rate(DraftSource::kModel, 4, 0);
  speculator.PlanRound({.prompt = kRepeating,
                        .generated = {},
                        .length_max = 16,
                        .model_max = 16});
  speculator.OnDraftLate(4, 1, 4000);
  speculator.OnVerified(0, 1000, 0);
  speculator.OnRound(0, 0);
  EXPECT_GE(controller.total_us(), 5000);
  EXPECT_LT(controller.Rate(DraftSource::kModel, 4, 0), rate);
  EXPECT_NE(before, rate);
}

}  // namespace
}  // namespace tandem
