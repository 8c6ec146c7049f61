#include "services/coordinator/routing/placement.h"

#include <gtest/gtest.h>

#include <array>

namespace tandem {
namespace {

// A pass of n rows takes 10 ms and n x 1 ms more.
std::shared_ptr<const WorkerCosts> Costs(double factor = 1) {
  std::vector<StepCost> costs;
  for (int rows = 1; rows <= 64; ++rows) {
    costs.push_back({.rows = rows, .us = factor * (10000 + rows * 1000)});
  }
  return std::make_shared<const WorkerCosts>(
      WorkerCosts{.passes = CostCurve(costs), .sequences = 1});
}

Candidate At(int streams) {
  Candidate candidate;
  candidate.load.streams = streams;
  candidate.costs = Costs();
  return candidate;
}

constexpr Placement kPlace{.tokens = 640, .tokens_max = 800, .generated = 100};

TEST(CostOfTest, AddsPromptAndRounds) {
  // 64 rows take 74 ms; four wait for them. A pass of 4 rows takes 14 ms, 1 ms
  // more than without us, for three others.
  EXPECT_DOUBLE_EQ(CostOf(At(3), kPlace, CostCurve()).time_us,
                   4 * 640 * 74000.0 / 64 + 100 * 17000.0);
  Candidate cached = At(3);
  cached.cached = 320;
  EXPECT_DOUBLE_EQ(CostOf(cached, kPlace, CostCurve()).time_us,
                   4 * 320 * 74000.0 / 64 + 100 * 17000.0);
  // Its last token is always computed.
  cached.cached = 1000;
  EXPECT_DOUBLE_EQ(CostOf(cached, kPlace, CostCurve()).time_us,
                   4 * 74000.0 / 64 + 100 * 17000.0);
  // No more than the worker has pages for.
  cached.load.kv_pages_total = 100;
  cached.load.kv_pages_free = 100;
  cached.load.kv_pages_cached = 10;
  cached.load.kv_page_tokens = 16;
  EXPECT_DOUBLE_EQ(CostOf(cached, kPlace, CostCurve()).time_us,
                   4 * 480 * 74000.0 / 64 + 100 * 17000.0);
  Candidate queue = At(3);
  queue.load.streams_queued = 2;
  EXPECT_DOUBLE_EQ(CostOf(queue, kPlace, CostCurve()).time_us,
                   4 * 640 * 74000.0 / 64 + 100 * (3 * 14000.0 + 3000.0));
}

TEST(CostOfTest, AddsWhatTheWorkersOtherModelsCost) {
  Candidate candidate = At(3);
  candidate.load.other_streams = 2;
  candidate.load.other_pass_us = 50000;
  // Each pass waits for one of the others, whose two streams wait 1 ms more.
  EXPECT_DOUBLE_EQ(CostOf(candidate, kPlace, CostCurve()).time_us,
                   4 * 640 * 74000.0 / 64 + 100 * (64000.0 + 5 * 1000.0));
  // Where the model was idle the others wait for a whole pass.
  candidate.load.streams = 0;
  EXPECT_DOUBLE_EQ(CostOf(candidate, kPlace, CostCurve()).time_us,
                   640 * 74000.0 / 64 + 100 * (61000.0 + 2 * 11000.0));
}

TEST(ChooseCheapestTest, WeighsCacheAgainstLoad) {
  std::minstd_rand random(1);
  std::vector<Candidate> candidates = {At(4), At(1)};
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 1u);
  candidates[0].cached = 600;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 0u);
  candidates[0].load.requests_pending = 20;  // 20 ms a token more
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 1u);
  candidates[1].costs = Costs(10);
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 0u);
}

TEST(ChooseCheapestTest, TakesFullAndFailedWorkersLast) {
  std::minstd_rand random(1);
  std::vector<Candidate> candidates = {At(0), At(9), At(0)};
  candidates[0].load.kv_pages_total = 100;
  candidates[0].load.kv_page_tokens = 16;
  candidates[0].load.kv_pages_free = 49;  // 800 tokens need 50
  candidates[2].avoided = true;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 1u);
  candidates[1].avoided = true;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 0u);
  candidates[0].load.kv_pages_free = 50;
  candidates[1].avoided = false;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 0u);
}

TEST(ChooseCheapestTest, JudgesANewWorkerAsItsPeers) {
  std::minstd_rand random(1);
  std::vector<Candidate> candidates = {At(0), At(2), At(1)};
  candidates[0].costs = nullptr;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 0u);
  candidates[0].load.streams = 3;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 2u);
  for (Candidate& candidate : candidates) candidate.costs = nullptr;
  EXPECT_EQ(ChooseCheapest(candidates, kPlace, &random), 2u);
}

TEST(ChooseCheapestTest, DrawsAmongEqualsAndTheSameBySeed) {
  const std::vector<Candidate> candidates = {At(1), At(0), At(0), At(0)};
  std::array<int, 4> chosen = {};
  std::minstd_rand random(7);
  std::minstd_rand again(7);
  for (int i = 0; i < 3000; ++i) {
    const size_t choice = ChooseCheapest(candidates, kPlace, &random);
    EXPECT_EQ(ChooseCheapest(candidates, kPlace, &again), choice);
    ++chosen[choice];
  }
  EXPECT_EQ(chosen[0], 0);
  // A thousand each; sqrt(3000 x 1/3 x 2/3) = 26 is one standard deviation.
  for (int i = 1; i < 4; ++i) EXPECT_NEAR(chosen[i], 1000, 5 * 26);
}

}  // namespace
}  // namespace tandem
