#include "engine/speculation/draft_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/speculation/shared_passes.h"

namespace tandem {
namespace {

// Lines through measured passes; beyond the last, by its slope.
std::function<double(double)> Through(
    std::vector<std::pair<double, double>> points) {
  return [points = std::move(points)](double rows) {
    size_t i = 1;
    while (i + 1 < points.size() && rows > points[i].first) ++i;
    const auto& [r0, us0] = points[i - 1];
    const auto& [r1, us1] = points[i];
    return us0 + (us1 - us0) * (rows - r0) / (r1 - r0);
  };
}

// tools/bench/README.md, the 1.1B shape in Q4_0, passes by rows.
std::function<double(double)> Avx512() {
  return Through(
      {{1, 13250}, {4, 14700}, {8, 18900}, {16, 31900}, {32, 58000}});
}
std::function<double(double)> Avx2() {
  return Through({{1, 30300}, {4, 86200}, {8, 171000}, {16, 335000}});
}
std::function<double(double)> Times(double factor,
                                    std::function<double(double)> us) {
  return
      [factor, us = std::move(us)](double rows) { return factor * us(rows); };
}

// The pairs of tools/load/README.md.
std::vector<SimulatedPair> Pairs() {
  std::vector<SimulatedPair> pairs;
  for (const bool vnni : {true, false}) {
    const auto us = vnni ? Avx512() : Avx2();
    const char* level = vnni ? "avx512 " : "avx2 ";
    pairs.push_back({.name = absl::StrCat(level, "1.1B"),
                     .target_us = us,
                     .draft_us = Times(0.26, us),
                     .chance = 0.91});
    pairs.push_back({.name = absl::StrCat(level, "7B"),
                     .target_us = Times(6, us),
                     .draft_us = Times(0.6, us),
                     .chance = 0.91});
    pairs.push_back({.name = absl::StrCat(level, "1.1B, right in 0.2"),
                     .target_us = us,
                     .draft_us = Times(0.26, us),
                     .chance = 0.42});
  }
  return pairs;
}

// As long as 3,000 passes of one row, or 600 of all sessions, which 16 sessions
// need to get over their first prompts.
SimulatedLoad Load(const SimulatedPair& pair, int sessions) {
  SimulatedLoad load;
  load.duration_us =
      std::max(3000 * pair.target_us(1), 600 * pair.target_us(sessions));
  load.sessions.assign(static_cast<size_t>(sessions), {.chance = pair.chance});
  return load;
}

struct Bar {
  // Of the fixed lengths 0 .. 8. The mean over points is above 0.98; two runs
  // of a point differ by 1% to 2%.
  double of_best = 0.96;
  double of_none = 0.985;
};

// Against every fixed length under the same load, in tokens of all sessions: a
// length is not better because it takes from others.
SharedResult ExpectNearTheBest(const SimulatedPair& pair,
                               const SimulatedLoad& load,
                               const std::string& name, const Bar& bar = {}) {
  constexpr uint32_t kSeeds = 2;
  SharedResult result;
  std::vector<double> fixed(9, 0);
  double tokens = 0;
  for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
    for (int length = 0; length <= 8; ++length) {
      fixed[length] += RunShared(pair, load, length, seed).tokens;
    }
    result = RunShared(pair, load, std::nullopt, seed);
    tokens += result.tokens;
  }
  const auto best = std::max_element(fixed.begin(), fixed.end());
  SCOPED_TRACE(absl::StrCat(pair.name, ", ", name, ", best length ",
                            best - fixed.begin(), ", at the end ",
                            result.lengths[0]));
  EXPECT_GE(tokens / *best, bar.of_best);
  EXPECT_GE(tokens / fixed[0], bar.of_none);
  return result;
}

TEST(DraftPolicySimulation, IsNearTheBestFixedLength) {
  for (const SimulatedPair& pair : Pairs()) {
    for (const int sessions : {1, 2, 4, 8, 16}) {
      ExpectNearTheBest(pair, Load(pair, sessions),
                        absl::StrCat(sessions, " sessions"));
    }
  }
}

TEST(DraftPolicySimulation, IsNearTheBestWhereWorkersHaveTheirOwnCores) {
  for (SimulatedPair pair : Pairs()) {
    pair.takes_turns = false;
    for (const int sessions : {1, 4, 16}) {
      ExpectNearTheBest(pair, Load(pair, sessions),
                        absl::StrCat(sessions, " sessions"));
    }
  }
}

// The pairs with 0.91.
std::vector<SimulatedPair> GoodPairs() {
  std::vector<SimulatedPair> pairs = Pairs();
  std::erase_if(pairs,
                [](const SimulatedPair& pair) { return pair.chance < 0.5; });
  return pairs;
}

TEST(DraftPolicySimulation, FollowsALoadThatChanges) {
  for (const SimulatedPair& pair : GoodPairs()) {
    SimulatedLoad crowd = Load(pair, 16);
    for (size_t i = 1; i < 16; ++i) {
      crowd.sessions[i].from_us = crowd.duration_us / 3;
      crowd.sessions[i].until_us = crowd.duration_us * 2 / 3;
    }
    ExpectNearTheBest(pair, crowd, "1, 16, 1 sessions");
    SimulatedLoad fewer = Load(pair, 8);
    for (size_t i = 2; i < 8; ++i) {
      fewer.sessions[i].until_us = fewer.duration_us / 2;
    }
    ExpectNearTheBest(pair, fewer, "8, 2 sessions");
  }
}

// One length serves sessions that differ: pooled chances, by position, are
// those of all drafts, so a second class was not needed.
TEST(DraftPolicySimulation, OneLengthServesHalfGoodHalfBad) {
  for (const SimulatedPair& pair : GoodPairs()) {
    for (const int sessions : {2, 4, 8}) {
      SimulatedLoad load = Load(pair, sessions);
      for (int i = 0; i < sessions; i += 2) load.sessions[i].chance = 0.42;
      ExpectNearTheBest(pair, load, absl::StrCat(sessions, " sessions"));
    }
  }
}

TEST(DraftPolicySimulation, MindsSessionsWithAFixedLength) {
  for (const SimulatedPair& pair : GoodPairs()) {
    for (const int sessions : {2, 4, 8}) {
      for (const int fixed : {0, 4}) {
        SimulatedLoad load = Load(pair, sessions);
        for (int i = 0; i < sessions; i += 2) load.sessions[i].fixed = fixed;
        ExpectNearTheBest(pair, load,
                          absl::StrCat(sessions, " sessions, half at ", fixed),
                          {.of_best = 0.96});
      }
    }
  }
}

// Each probes for itself and makes the other wait, so a little less is asked.
TEST(DraftPolicySimulation, TwoCoordinatorsDoNotOscillate) {
  for (const SimulatedPair& pair : GoodPairs()) {
    for (const int sessions : {2, 4, 8}) {
      SimulatedLoad load = Load(pair, sessions);
      for (int i = 0; i < sessions; i += 2) load.sessions[i].coordinator = 1;
      const SharedResult result =
          ExpectNearTheBest(pair, load, absl::StrCat(sessions, " sessions"),
                            {.of_best = 0.95, .of_none = 0.97});
      // Of both, in 600 rounds or more.
      EXPECT_LE(result.changes, 24);
    }
  }
}

// What is tried costs at most 1.5% where no draft is ever right.
TEST(DraftPolicySimulation, ProbesAreBounded) {
  for (SimulatedPair pair : Pairs()) {
    pair.chance = 0;
    for (const int sessions : {1, 4}) {
      ExpectNearTheBest(pair, Load(pair, sessions),
                        absl::StrCat(sessions, " sessions"));
    }
  }
}

std::shared_ptr<const CostCurve> Curve(double us_of_1, double us_of_64) {
  const std::vector<StepCost> costs = {{.rows = 1, .us = us_of_1},
                                       {.rows = 64, .us = us_of_64}};
  return std::make_shared<const CostCurve>(costs);
}

// Tells the policy of cheap drafts.
void Report(DraftPolicy* policy, double sequences) {
  policy->OnDraftReport(Curve(100, 110));
  policy->OnTargetReport(Curve(1000, 1100), {.sequences = sequences});
}

// A round of every session, whose drafts are all right.
void RunWave(DraftPolicy* policy, std::vector<DraftPolicy::Seat>* seats) {
  for (DraftPolicy::Seat& seat : *seats) policy->PlanRound(&seat, 1);
  for (DraftPolicy::Seat& seat : *seats) {
    policy->OnRound(&seat, {.source = seat.length > 0 ? DraftSource::kModel
                                                      : DraftSource::kNone,
                            .drafted = seat.length,
                            .accepted = seat.length,
                            .us = 1500,
                            .served_us = 1400});
  }
}

TEST(DraftPolicyTest, OneSessionFindsOutWhileNothingIsKnown) {
  DraftPolicy policy;
  std::vector<DraftPolicy::Seat> seats(2);
  EXPECT_TRUE(policy.WantsDrafter(&seats[0]));
  EXPECT_FALSE(policy.WantsDrafter(&seats[1]));
  EXPECT_EQ(policy.PlanRound(&seats[0], 8), DraftPolicy::kFirstLength);
  EXPECT_EQ(policy.PlanRound(&seats[1], 8), 0);
  EXPECT_EQ(policy.RoundUs(DraftSource::kModel, 1), 0);
  EXPECT_EQ(policy.ProposalUs(1), 0);
  // Another one does when its turn is over.
  policy.OnTurn(&seats[0], 8, 1);
  EXPECT_TRUE(policy.WantsDrafter(&seats[1]));
}

// A session that asked for 16 tokens a round is gone: its drafts cost nothing
// any more.
TEST(DraftPolicyTest, AFixedLengthOfBeforeIsForgotten) {
  DraftPolicy policy;
  std::vector<DraftPolicy::Seat> seats(1);
  Report(&policy, 1);
  const double plain_us = policy.RoundUs(DraftSource::kModel, 0);
  const double drafted_us = policy.RoundUs(DraftSource::kModel, 1);
  for (int i = 0; i < 20; ++i) {
    RunWave(&policy, &seats);
    policy.OnRound(&seats[0], {.source = DraftSource::kModel,
                               .drafted = 16,
                               .accepted = 16,
                               .follows = false});
  }
  EXPECT_GT(policy.RoundUs(DraftSource::kModel, 1), 1.2 * drafted_us);
  for (int i = 0; i < 60; ++i) RunWave(&policy, &seats);
  EXPECT_NEAR(policy.RoundUs(DraftSource::kModel, 1) -
                  policy.RoundUs(DraftSource::kModel, 0),
              drafted_us - plain_us, 0.3 * plain_us);
}

TEST(DraftPolicyTest, AllSessionsProbeInTheSameWave) {
  DraftPolicy policy;
  std::vector<DraftPolicy::Seat> seats(4);
  Report(&policy, 4);
  int probes = 0;
  for (int wave = 0; wave < 1000; ++wave) {
    RunWave(&policy, &seats);
    for (const DraftPolicy::Seat& seat : seats) {
      EXPECT_EQ(seat.length, seats[0].length);
      EXPECT_EQ(seat.wave, seats[0].wave);
    }
    if (seats[0].length != policy.length()) ++probes;
    if (wave % 5 == 0) Report(&policy, 4);
  }
  EXPECT_GE(probes, 5);
  EXPECT_LE(probes, 1000 / DraftPolicy::kLately);
  EXPECT_GT(policy.length(), 8);
}

TEST(DraftPolicyTest, ASessionThatMissesAWaveJoinsTheNext) {
  DraftPolicy policy;
  DraftPolicy::Seat quick;
  DraftPolicy::Seat slow;
  policy.PlanRound(&quick, 1);
  policy.PlanRound(&slow, 1);
  for (int i = 0; i < 3; ++i) policy.PlanRound(&quick, 1);
  EXPECT_EQ(quick.wave, slow.wave + 3);
  policy.PlanRound(&slow, 1);
  EXPECT_EQ(quick.wave, slow.wave);
}

// Nobody gets a token while a drafter, in turns with the target, runs a prompt.
TEST(DraftPolicyTest, ShortTurnsDoNotPayForTheirDrafters) {
  const auto length = [](bool takes_turns, int64_t generated) {
    DraftPolicy policy;
    std::vector<DraftPolicy::Seat> seats(4);
    policy.OnTurn(&seats[0], /*lacking=*/5000, generated);
    policy.OnDraftReport(Curve(100, 200));
    policy.OnTargetReport(Curve(1000, 1100),
                          {.sequences = 4, .takes_turns = takes_turns});
    return policy.length();
  };
  EXPECT_EQ(length(true, 16), 0);
  EXPECT_GT(length(true, 2000), 0);
  EXPECT_GT(length(false, 300), 0);
}

TEST(DraftPolicyTest, LookupCostsNoDrafter) {
  DraftPolicy policy;
  Report(&policy, 1);
  EXPECT_LT(policy.RoundUs(DraftSource::kLookup, 4),
            policy.RoundUs(DraftSource::kModel, 4));
  EXPECT_EQ(policy.RoundUs(DraftSource::kLookup, 0),
            policy.RoundUs(DraftSource::kNone, 0));
  EXPECT_GT(policy.ProposalUs(4), policy.ProposalUs(2));
  EXPECT_GT(policy.ExpectedTokens(2), policy.ExpectedTokens(1));
}

TEST(DraftPolicyTest, EmptyReportsSayNothing) {
  DraftPolicy policy;
  policy.OnTargetReport(std::make_shared<const CostCurve>(), {});
  policy.OnDraftReport(std::make_shared<const CostCurve>());
  policy.OnDraftReport(nullptr);
  DraftPolicy::Seat seat;
  EXPECT_EQ(policy.PlanRound(&seat, 1), DraftPolicy::kFirstLength);
}

TEST(DraftPolicyTest, AnyThreadMayCall) {
  DraftPolicy policy;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&policy] {
      std::vector<DraftPolicy::Seat> seats(1);
      for (int wave = 0; wave < 200; ++wave) {
        Report(&policy, 4);
        RunWave(&policy, &seats);
        policy.WantsDrafter(&seats[0]);
      }
      policy.OnTurn(&seats[0], 8, 200);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(policy.length(), 0);
}

}  // namespace
}  // namespace tandem
