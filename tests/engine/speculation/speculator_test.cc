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
  Speculator speculator(std::make_shared<DraftPolicy>(), options);
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
  EXPECT_EQ(Plan({.draft_length_max = 2}, {1, 2, 3}, 16).length, 2);
  const DraftPlan plan =
      Plan({.draft_length_max = 2, .draft_sources = DraftSources::kLookup},
           kRepeating, 0);
  EXPECT_EQ(plan.draft.size(), 2u);
}

TEST(SpeculatorTest, ABusyDrafterIsNotAsked) {
  Speculator speculator(std::make_shared<DraftPolicy>(), {.draft_length = 4});
  const RoundRoom room = {
      .prompt = kRepeating, .generated = {}, .length_max = 16, .model_max = 16};
  speculator.SetModelBusy(true);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kLookup);
  speculator.SetModelBusy(false);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kModel);
}

TEST(SpeculatorTest, LooksThroughGeneratedTokensToo) {
  Speculator speculator(
      std::make_shared<DraftPolicy>(),
      {.draft_length = 2, .draft_sources = DraftSources::kLookup});
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

std::shared_ptr<const CostCurve> Curve(double us) {
  return std::make_shared<const CostCurve>(std::vector<StepCost>{
      {.rows = 1, .us = us}, {.rows = 64, .us = 1.1 * us}});
}

std::shared_ptr<DraftPolicy> KnownPolicy() {
  auto policy = std::make_shared<DraftPolicy>();
  policy->OnDraftReport(Curve(100));
  policy->OnTargetReport(Curve(1000), {});
  return policy;
}

TEST(SpeculatorTest, TakesLookupWhereItIsRightAndTheModelIsNot) {
  const std::shared_ptr<DraftPolicy> policy = KnownPolicy();
  Speculator speculator(policy, {});
  const RoundRoom room = {
      .prompt = kRepeating, .generated = {}, .length_max = 16, .model_max = 16};
  const double before = policy->ExpectedTokens(4);
  for (int i = 0; i < 60; ++i) {
    const DraftPlan plan = speculator.PlanRound(room);
    const bool is_model = plan.source == DraftSource::kModel;
    const int drafted =
        is_model ? plan.length : static_cast<int>(plan.draft.size());
    speculator.OnRequest(1000 + 100 * drafted, 1000);
    speculator.OnRound(drafted, is_model ? 0 : drafted);
    policy->OnTargetReport(Curve(1000), {});
  }
  EXPECT_LT(policy->ExpectedTokens(4), before);
  EXPECT_EQ(speculator.PlanRound(room).source, DraftSource::kLookup);
}

// A target reports before a drafter that has computed nothing yet.
TEST(SpeculatorTest, TakesLookupWhileOnlyTheTargetIsKnown) {
  const auto policy = std::make_shared<DraftPolicy>();
  policy->OnTargetReport(Curve(1000), {});
  Speculator speculator(policy, {});
  const DraftPlan plan = speculator.PlanRound({.prompt = kRepeating,
                                               .generated = {},
                                               .length_max = 16,
                                               .model_max = 16});
  EXPECT_EQ(plan.source, DraftSource::kLookup);
}

TEST(SpeculatorTest, ASessionThatLosesItsDrafterLetsAnotherFindOut) {
  const auto policy = std::make_shared<DraftPolicy>();
  Speculator first(policy, {});
  Speculator second(policy, {});
  EXPECT_TRUE(first.WantsDrafter());
  EXPECT_FALSE(second.WantsDrafter());
  first.SetDrafter(std::nullopt);
  EXPECT_TRUE(second.WantsDrafter());
}

TEST(SpeculatorTest, ALateDraftCountsAsWrong) {
  const std::shared_ptr<DraftPolicy> policy = KnownPolicy();
  Speculator speculator(policy, {.draft_sources = DraftSources::kModel});
  const double before = policy->ExpectedTokens(4);
  for (int i = 0; i < 20; ++i) {
    speculator.PlanRound({.prompt = kRepeating,
                          .generated = {},
                          .length_max = 16,
                          .model_max = 16});
    speculator.OnDraftLate();
    speculator.OnRound(0, 0);
  }
  EXPECT_LT(policy->ExpectedTokens(4), before);
}

TEST(SpeculatorTest, AsksForADrafterWhereThePolicyDraftsOrTheLengthIsFixed) {
  const std::shared_ptr<DraftPolicy> policy = KnownPolicy();
  EXPECT_TRUE(Speculator(policy, {}).WantsDrafter());
  const auto dear = std::make_shared<DraftPolicy>();
  dear->OnDraftReport(Curve(100000));
  dear->OnTargetReport(Curve(1000), {});
  EXPECT_FALSE(Speculator(dear, {}).WantsDrafter());
  EXPECT_TRUE(Speculator(dear, {.draft_length = 2}).WantsDrafter());
}

// What a drafter lacked when a turn began counts for the turns to come.
TEST(SpeculatorTest, ReportsItsTurnToThePolicy) {
  const std::vector<TokenId> prompt(50000, 7);
  const std::vector<TokenId> generated(16, 7);
  const auto length_after = [&](int64_t cached) {
    const std::shared_ptr<DraftPolicy> policy = KnownPolicy();
    {
      Speculator speculator(policy, {.draft_sources = DraftSources::kModel});
      speculator.SetDrafter(cached);
      for (const auto& tokens : {std::vector<TokenId>(), generated}) {
        speculator.PlanRound({.prompt = prompt,
                              .generated = tokens,
                              .length_max = 16,
                              .model_max = 16});
      }
    }
    DraftPolicy::Seat seat;
    for (int i = 0; i < 20; ++i) {
      policy->PlanRound(&seat, 0);
      policy->OnTargetReport(Curve(1000), {});
    }
    return policy->length();
  };
  EXPECT_EQ(length_after(0), 0);
  EXPECT_GT(length_after(50000), 0);
}

TEST(SpeculatorTest, FollowsThePolicyOfANewTarget) {
  Speculator speculator(KnownPolicy(), {});
  const auto dear = std::make_shared<DraftPolicy>();
  dear->OnDraftReport(Curve(100000));
  dear->OnTargetReport(Curve(1000), {});
  const std::vector<TokenId> prompt = {1, 2, 3};
  const RoundRoom room = {
      .prompt = prompt, .generated = {}, .length_max = 16, .model_max = 16};
  EXPECT_GT(speculator.PlanRound(room).length, 0);
  speculator.SetPolicy(dear);
  EXPECT_EQ(speculator.policy(), dear);
  EXPECT_EQ(speculator.PlanRound(room).length, 0);
}

}  // namespace
}  // namespace tandem
