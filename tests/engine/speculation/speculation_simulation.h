// A session's rounds without models: what passes cost, what the network adds
// and how often drafts are right are given, and a controller, or a fixed draft
// length, goes through a text of so many tokens. Time and tokens are counted as
// their expectations, so that two policies can be compared to the percent; the
// controller sees samples with noise.

#ifndef TANDEM_TESTS_ENGINE_SPECULATION_SPECULATION_SIMULATION_H_
#define TANDEM_TESTS_ENGINE_SPECULATION_SPECULATION_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>

#include "engine/speculation/draft_controller.h"

namespace tandem {

struct SimulatedWorld {
  std::string name;
  // Microseconds of a pass of so many rows of the target; of one draft step.
  std::function<double(int rows)> target_us;
  double draft_us = 0;       // 0: no drafter
  double round_trip_us = 0;  // of each request, beside the computing
  // That the draft at `position` is right where those before it are, at this
  // place of the text.
  std::function<double(int64_t token, int position)> chance;
  // That lookup finds something there; what it finds, and how right it is.
  std::function<double(int64_t token)> match_chance;
  int match_length = 5;
  std::function<double(int64_t token, int position)> lookup_chance;
  // Standard deviation of a time, as a share of it.
  double noise = 0.05;
  // The worker reports what its passes cost, every so many rounds; 0: never.
  int report_every = 5;
};

struct SimulationResult {
  double tokens = 0;
  double us = 0;
  double probe_share = 0;  // of the time
  int64_t rounds = 0;
  int64_t changes = 0;  // of the steady length
  // Rounds from `watched` on until most of ten rounds drafted.
  int64_t rounds_to_draft = -1;
  double tokens_per_second() const { return tokens / us * 1e6; }
};

class SpeculationSimulation {
 public:
  SpeculationSimulation(const SimulatedWorld& world, uint32_t seed)
      : world_(world), random_(seed) {}

  // Every round drafts `length` tokens with the model.
  SimulationResult RunFixed(int length, int64_t tokens) const;
  // Every round drafts up to `length` tokens by lookup, where it finds some.
  SimulationResult RunLookup(int length, int64_t tokens) const;
  SimulationResult RunAuto(DraftController* controller, int64_t tokens,
                           int64_t watched = 0);

 private:
  double RoundUs(DraftSource source, int length) const;
  double Expected(DraftSource source, int64_t token, int length) const;
  int Sample(DraftSource source, int64_t token, int length);
  double Noisy(double us);
  void Report(DraftController* controller);

  const SimulatedWorld world_;
  std::mt19937 random_;
  CostCurve target_seen_;
  CostCurve draft_seen_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SPECULATION_SPECULATION_SIMULATION_H_
