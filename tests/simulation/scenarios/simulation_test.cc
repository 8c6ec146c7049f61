#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SimulationOptions Small(uint64_t seed) {
  SimulationOptions options;
  options.network.seed = seed;
  options.targets = 12;
  options.drafters = 4;
  options.sessions = 120;
  return options;
}

SimulationResult Run(const SimulationOptions& options) {
  return Simulation(options).Run();
}

// Every client has checked each of its events; see there.
SimulationResult ExpectAllServed(const SimulationOptions& options) {
  SimulationResult result = Run(options);
  EXPECT_EQ(result.failure, "");
  EXPECT_EQ(result.clients.turns, options.sessions * options.client.turns);
  EXPECT_GT(result.clients.tokens, 0);
  return result;
}

TEST(SimulationTest, SteadyLoad) {
  const SimulationResult result = ExpectAllServed(Small(1));
  EXPECT_GT(result.clients.drafted, 0);
  // Seven in ten are right where those before are: of a draft of 16, the
  // longest, 2.3.
  EXPECT_GT(result.clients.accepted, result.clients.drafted / 7);
  EXPECT_EQ(result.clients.retries, 0);
}

TEST(SimulationTest, ASeedDecidesEverything) {
  SimulationOptions options = Small(2);
  options.coordinators = 2;
  options.kills_per_s = 2;
  options.drains_per_s = 1;
  options.adds_per_s = 1;
  options.flaps_per_mille = 300;
  options.network.losses_per_million = 300;
  options.client.losses_per_mille = 20;
  const SimulationResult first = ExpectAllServed(options);
  const SimulationResult second = ExpectAllServed(options);
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_EQ(first.events, second.events);
  EXPECT_EQ(first.seconds, second.seconds);
  options.network.seed = 3;
  EXPECT_NE(ExpectAllServed(options).digest, first.digest);
}

TEST(SimulationTest, WorkersAreKilledAddedAndDrainedUnderLoad) {
  for (uint64_t seed = 10; seed < 14; ++seed) {
    SCOPED_TRACE(seed);
    SimulationOptions options = Small(seed);
    options.coordinators = 2;
    options.kills_per_s = 3;
    options.drains_per_s = 2;
    options.adds_per_s = 1;
    options.drain_timeout = milliseconds(500);
    options.network.losses_per_million = 500;
    options.client.losses_per_mille = 30;
    const SimulationResult result = ExpectAllServed(options);
    EXPECT_GT(result.workers_started, options.targets + options.drafters);
    EXPECT_GT(result.clients.losses, 0);
    EXPECT_GT(result.clients.resumes, 0);
    EXPECT_GT(result.drained_with, 0);  // turns have moved
  }
}

TEST(SimulationTest, AllDraftersGo) {
  SimulationOptions options = Small(20);
  options.drafters_die_after = milliseconds(1500);
  const SimulationResult result = ExpectAllServed(options);
  EXPECT_GT(result.clients.drafted, 0);
}

TEST(SimulationTest, TheNamesFlap) {
  SimulationOptions options = Small(30);
  options.flaps_per_mille = 700;
  options.arrivals = seconds(30);
  options.coordinators = 3;
  ExpectAllServed(options);
}

// The slow target gets few of the sessions, so that most are as fast as
// without it.
TEST(SimulationTest, ASlowWorkerIsUsedLittle) {
  SimulationOptions options = Small(40);
  options.targets = 8;
  options.slow_targets = 1;
  options.arrivals = seconds(10);
  const SimulationResult result = ExpectAllServed(options);
  std::vector<double> rates = result.clients.rates;
  std::sort(rates.begin(), rates.end());
  const auto slow = std::count_if(
      rates.begin(), rates.end(),
      [median = rates[rates.size() / 2]](double r) { return r < median / 4; });
  EXPECT_LT(slow, static_cast<int64_t>(rates.size() / 20));
}

TEST(SimulationTest, SlowReadersAndFullWorkers) {
  SimulationOptions options = Small(50);
  options.targets = 3;
  options.sessions = 60;
  options.kv_pages = 200;  // about ten sequences
  options.client.read_time = milliseconds(40);
  const SimulationResult result = ExpectAllServed(options);
  EXPECT_GT(result.clients.retries, 0);
}

SimulationOptions Stored(uint64_t seed) {
  SimulationOptions options;
  options.network.seed = seed;
  options.has_store = true;
  options.coordinators = 2;
  options.targets = 4;
  options.drafters = 1;
  options.sessions = 12;
  options.shared_prompts = 1;
  options.client.turns = 3;
  // Those that live for less than the workers need for all prompts never get
  // anywhere.
  options.coordinator_kills_per_s = 0.3;
  options.client.losses_per_mille = 20;
  return options;
}

// Seeds from TANDEM_SIMULATION_SEED on, TANDEM_SIMULATION_SEEDS of them: the
// long form of the test has 10,000. Each is a second of CPU time or less.
TEST(SimulationTest, CoordinatorsDieAndOthersGoOn) {
  const char* const first = std::getenv("TANDEM_SIMULATION_SEED");
  const char* const count = std::getenv("TANDEM_SIMULATION_SEEDS");
  const int64_t begin = first == nullptr ? 1000 : std::atoll(first);
  const int64_t seeds = count == nullptr ? 200 : std::atoll(count);
  int64_t resumes = 0;
  int64_t coordinators = 0;
  for (int64_t seed = begin; seed < begin + seeds; ++seed) {
    SCOPED_TRACE("TANDEM_SIMULATION_SEED=" + std::to_string(seed));
    SimulationOptions options = Stored(static_cast<uint64_t>(seed));
    options.coordinators = seed % 4 == 0 ? 1 : 2;
    options.store_faults_per_mille = seed % 3 == 0 ? 30 : 0;
    options.kills_per_s = seed % 2 == 0 ? 0.5 : 0;
    const SimulationResult result = ExpectAllServed(options);
    if (::testing::Test::HasFailure()) return;
    resumes += result.clients.resumes;
    coordinators += result.coordinators_started - options.coordinators;
  }
  EXPECT_GT(resumes, seeds);
  EXPECT_GT(coordinators, seeds);
}

}  // namespace
}  // namespace tandem
