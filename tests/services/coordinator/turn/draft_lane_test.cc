#include "services/coordinator/turn/draft_lane.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using DraftLaneTest = TurnRunnerFixture;

std::shared_ptr<const WorkerCosts> Costs(double first_us, double row_us) {
  const std::vector<StepCost> costs = {
      {.rows = 1, .us = first_us}, {.rows = 17, .us = first_us + 16 * row_us}};
  return std::make_shared<const WorkerCosts>(
      WorkerCosts{.passes = CostCurve(costs), .sequences = 1});
}

// The drafter was fast and is not any more: rounds go on without it, its
// answers are dropped when they come, and it is not asked twice at a time.
TEST_F(DraftLaneTest, ASlowDraftIsNotWaitedFor) {
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(100, 1);
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->propose_delay = milliseconds(500);
  const int proposes = drafter_->proposes;
  const MonotonicTime began = clock_.Now();
  RunToEnd();
  ExpectPlain();
  EXPECT_GE(runner_->turn().speculation().late, 1);
  // One wait, then about 110 rounds of 2 ms each; a drafter that is waited for
  // would take 25 times half a second.
  EXPECT_LT(clock_.Now() - began, milliseconds(700));
  EXPECT_LE(drafter_->proposes - proposes, 3);
  EXPECT_EQ(drafter_->opened, 1);
}

TEST_F(DraftLaneTest, ALateDrafterIsAskedAgainWhenItHasAnswered) {
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(100, 1);
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->propose_delay = milliseconds(100);
  RunUntil([this] { return runner_->turn().speculation().late > 0; });
  drafter_->propose_delay = {};
  const int proposes = drafter_->proposes;
  const int64_t drafted = runner_->turn().speculation().drafted;
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(drafter_->proposes, proposes + 20);
  EXPECT_GT(runner_->turn().speculation().drafted, drafted + 60);
}

TEST_F(DraftLaneTest, ADrafterThatFallsSilentCostsOneWait) {
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(100, 1);
  spec_.options.max_tokens = 3000;
  spec_.options.ignore_eos = true;
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->silent = true;
  const int proposes = drafter_->proposes;
  MonotonicTime last = clock_.Now();
  MonotonicDuration gap{};
  for (size_t tokens = tokens_.size(); runner_->active();
       tokens = tokens_.size()) {
    RunUntil([&] { return tokens_.size() > tokens || !runner_->active(); });
    gap = std::max(gap, clock_.Now() - last);
    last = clock_.Now();
  }
  ExpectPlain();
  // A pass is 1 ms: the bound's least, and what a round takes at all.
  EXPECT_GE(gap, limits_.draft_patience_min);
  EXPECT_LT(gap, limits_.draft_patience_min + milliseconds(20));
  EXPECT_LE(drafter_->proposes, proposes + 2);  // with one ahead
  EXPECT_EQ(runner_->turn().speculation().late, 1);
}

// A round without a draft takes a pass of the target: no longer than that is a
// draft waited for, and in no case longer than 200 ms beyond its time.
TEST_F(DraftLaneTest, ADraftIsWaitedForAPassLonger) {
  for (const int pass_ms : {1, 60, 1000}) {
    SCOPED_TRACE(pass_ms);
    target()->reported = Costs(1000.0 * pass_ms, 1);
    drafter_->reported = Costs(100, 1);
    drafter_->silent = false;
    tokens_.clear();
    Start();
    RunUntil([this] { return tokens_.size() >= 10; });
    drafter_->silent = true;
    const int proposes = drafter_->proposes;
    RunUntil([&] { return drafter_->proposes > proposes; });
    const MonotonicTime asked = clock_.Now();
    RunUntil([this] { return runner_->turn().speculation().late > 0; });
    const MonotonicDuration waited = clock_.Now() - asked;
    const int bound_ms = std::clamp(pass_ms, 20, 200);
    EXPECT_GE(waited, milliseconds(bound_ms));
    EXPECT_LT(waited, milliseconds(bound_ms + 20));
    RunToEnd();
    ExpectPlain();
  }
}

// The prompt of a drafter that is silent from the beginning.
TEST_F(DraftLaneTest, AFirstDraftIsWaitedForAsLongAsThePromptTakes) {
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.prompt.assign(640, 270);
  target()->reported = Costs(100000, 0);  // 1.6 ms a token
  drafter_->reported = Costs(1000, 0);
  drafter_->silent = true;
  const MonotonicTime began = clock_.Now();
  Start();
  RunUntil([this] { return runner_->turn().speculation().late > 0; });
  EXPECT_GE(clock_.Now() - began, milliseconds(1000));
  EXPECT_LT(clock_.Now() - began, milliseconds(1200));
  RunToEnd();
  ExpectPlain();
}

// The target has computed all but a few tokens of the prompt before the turn.
TEST_F(DraftLaneTest, APromptThatTheTargetHasIsNotWaitedFor) {
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.prompt.assign(640, 270);
  directory_.targets["t1"].cached = 576;
  target()->reported = Costs(100000, 0);
  drafter_->reported = Costs(1000, 0);
  drafter_->silent = true;
  const MonotonicTime began = clock_.Now();
  Start();
  RunUntil([this] { return runner_->turn().speculation().late > 0; });
  EXPECT_LT(clock_.Now() - began, milliseconds(350));
  RunToEnd();
  ExpectPlain();
}

// This drafter lacks the last of the fake model's 300 tokens, which come soon.
TEST_F(DraftLaneTest, ATokenThatTheDrafterLacksEndsDrafting) {
  constexpr int kVocabSize = 290;
  directory_.drafters["d1"].vocab_size = kVocabSize;
  spec_.options.max_tokens = 200;
  spec_.options.ignore_eos = true;
  Start();
  RunToEnd();
  ExpectPlain();
  const auto first = std::find_if(tokens_.begin(), tokens_.end(),
                                  [](TokenId id) { return id >= kVocabSize; });
  ASSERT_LT(first - tokens_.begin(), 100);
  ASSERT_GT(first - tokens_.begin(), 0);
  EXPECT_GT(drafter_->proposes, 0);
  EXPECT_LE(drafter_->proposes, first - tokens_.begin() + 1);
  EXPECT_LT(drafter_->largest_id, kVocabSize);
  EXPECT_EQ(drafter_->streams, 0);
  EXPECT_EQ(drafter_->opened, 1);
}

TEST_F(DraftLaneTest, APromptThatTheDrafterLacksOpensNone) {
  directory_.drafters["d1"].vocab_size = 280;  // the prompt ends with id 280
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->opened, 0);
  EXPECT_EQ(runner_->turn().speculation().drafted, 0);
}

// Another drafter may have it.
TEST_F(DraftLaneTest, ADrafterThatHasThePromptIsTaken) {
  directory_.drafters["d1"].vocab_size = 280;
  FakeLink* const other = AddDrafter("d2");
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->opened, 0);
  EXPECT_EQ(other->opened, 1);
}

TEST_F(DraftLaneTest, ADrafterIsToldOnlyOfTokensThatItHas) {
  directory_.drafters["d1"].vocab_size = 290;
  spec_.options.logit_bias = {{.id = 7, .bias = 1}, {.id = 295, .bias = 1}};
  spec_.options.stop_token_ids = {296, 8};
  spec_.options.logprobs = 2;
  Start();
  RunToEnd();
  const GenOptions& options = drafter_->last_open.options;
  ASSERT_EQ(options.logit_bias.size(), 1u);
  EXPECT_EQ(options.logit_bias[0].id, 7);
  EXPECT_EQ(options.stop_token_ids, std::vector<TokenId>{8});
  EXPECT_FALSE(options.logprobs.has_value());
  EXPECT_EQ(target()->last_open.options.logit_bias.size(), 2u);
  EXPECT_EQ(target()->last_open.options.stop_token_ids.size(), 2u);
  EXPECT_TRUE(target()->last_open.options.logprobs.has_value());
}

TEST_F(DraftLaneTest, ADrafterThatIsSlowWithThePromptIsKept) {
  spec_.options.max_tokens = 3000;
  spec_.options.ignore_eos = true;
  drafter_->propose_delay = std::chrono::seconds(2);
  Start();
  RunUntil([this] { return runner_->turn().speculation().late > 0; });
  drafter_->propose_delay = {};
  EXPECT_EQ(drafter_->streams, 1);
  RunUntil([this] { return runner_->turn().speculation().accepted > 0; });
  EXPECT_EQ(drafter_->opened, 1);
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(runner_->turn().speculation().late, 1);
}

TEST_F(DraftLaneTest, AnAnswerThatWasNotAskedForLosesTheDrafter) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->faults.unasked = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->opened, 1);
  EXPECT_TRUE(runner_->drafter().last_worker().name.empty());
}

TEST_F(DraftLaneTest, ARepeatingTextNeedsNoDrafter) {
  directory_.drafters.clear();
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  for (const bool automatic : {false, true}) {
    tokens_.clear();
    spec_.options.draft_length.reset();
    if (!automatic) spec_.options.draft_length = 4;
    Start();
    RunToEnd();
    ExpectPlain();
    const SpeculationCounts counts = runner_->turn().speculation();
    EXPECT_EQ(counts.drafted, counts.lookup.drafted);
    EXPECT_GT(counts.lookup.accepted, 80);
    EXPECT_LT(counts.rounds, 40);
  }
}

TEST_F(DraftLaneTest, LookupGoesOnWhereTheDrafterIsLost) {
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  EXPECT_EQ(runner_->turn().speculation().lookup.drafted, 0);
  drafter_->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(runner_->turn().speculation().lookup.accepted, 60);
}

// What workers report says so before the first round.
TEST_F(DraftLaneTest, ADrafterThatDoesNotPayIsNotOpened) {
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  spec_.prompt.assign(3000, 270);
  target()->reported = Costs(1000, 1000);
  drafter_->reported = Costs(900, 900);
  Start();
  RunUntil([this] { return tokens_.size() >= 30; });
  EXPECT_EQ(drafter_->opened, 0);
  EXPECT_EQ(runner_->turn().speculation().drafted, 0);
  // Passes are cheap now: it pays, and is opened within the turn.
  target()->reported = Costs(5000, 1);
  drafter_->reported = Costs(100, 1);
  RunUntil([this] { return runner_->turn().speculation().drafted > 0; });
  EXPECT_EQ(drafter_->opened, 1);
  RunToEnd();
  ExpectPlain();
}

TEST_F(DraftLaneTest, SourcesThatAreNotAskedForAreNotUsed) {
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kLookup;
  Start();
  EXPECT_EQ(drafter_->opened, 0);
  RunToEnd();
  ExpectPlain();
  spec_.options.draft_sources = DraftSources::kModel;
  tokens_.clear();
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(runner_->turn().speculation().lookup.drafted, 0);
}

// Drafters with cores and time of their own go on while the target verifies.
TEST_F(DraftLaneTest, GoesAheadWhereTheDrafterHasTime) {
  enum class Reason { kNone, kOff, kTargetTurns, kDrafterTurns, kBusy };
  for (const Reason reason : {Reason::kNone, Reason::kOff, Reason::kTargetTurns,
                              Reason::kDrafterTurns, Reason::kBusy}) {
    WorkerCosts target_costs = *Costs(1000, 1);
    WorkerCosts drafter_costs = *Costs(10, 0);
    target_costs.takes_turns = reason == Reason::kTargetTurns;
    drafter_costs.takes_turns = reason == Reason::kDrafterTurns;
    if (reason == Reason::kBusy) drafter_costs.sequences = 2;
    limits_.draft_ahead = reason != Reason::kOff;
    target()->reported = std::make_shared<const WorkerCosts>(target_costs);
    drafter_->reported = std::make_shared<const WorkerCosts>(drafter_costs);
    tokens_.clear();
    Start();
    RunToEnd();
    ExpectPlain();
    const SpeculationCounts counts = runner_->turn().speculation();
    EXPECT_EQ(counts.ahead_asked > 0, reason == Reason::kNone);
    EXPECT_EQ(counts.ahead_used > 0, reason == Reason::kNone);
    EXPECT_LE(counts.ahead_used, counts.ahead_asked);
  }
}

// Answers ahead that come too late, unasked or garbled never change the text.
TEST_F(DraftLaneTest, FaultsAheadNeverChangeTheText) {
  int64_t used = 0;
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    spec_.options.seed = static_cast<uint64_t>(round);
    spec_.options.draft_length = 1 + round % 8;
    target()->reported = Costs(1000, 1);
    drafter_->reported = Costs(10, 0);
    drafter_->faults = {.unasked = round % 5 * 5,
                        .garbage = round % 3 * 100,
                        .delay_max = milliseconds(round % 4)};
    tokens_.clear();
    Start();
    RunToEnd();
    ExpectPlain();
    used += runner_->turn().speculation().ahead_used;
    if (HasFailure()) return;
  }
  EXPECT_GT(used, 60);
}

// What workers report decides.
TEST_F(DraftLaneTest, AutomaticLengthsGoByReportedCosts) {
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(1000000, 0);
  Start();
  RunToEnd();
  ExpectPlain();
  const int64_t dear = runner_->turn().speculation().drafted;
  tokens_.clear();
  drafter_->reported = Costs(1, 0);
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_LT(dear, 40);
  EXPECT_GT(runner_->turn().speculation().drafted, 100);
}

// The policy is the target's: what one turn learned the next one knows.
TEST_F(DraftLaneTest, WhatWasLearnedGoesToTheNextTurn) {
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kModel;
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(1, 0);
  const DraftPolicy& policy = *target()->draft_policy();
  const double before = policy.ExpectedTokens(8);
  Start();
  RunToEnd();
  const double after = policy.ExpectedTokens(8);
  EXPECT_NE(before, after);
  Start();
  EXPECT_EQ(policy.ExpectedTokens(8), after);
  RunToEnd();
}

}  // namespace
}  // namespace tandem
