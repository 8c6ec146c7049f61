// A simulation of sessions that share the passes of one target and of one
// drafter, with an event queue and no models: what passes cost and how often
// drafts are right is given. Sessions that come late miss a pass, reports come
// every 100 ms, and costs are learned from the passes that were run. Tokens are
// counted as their expectation, so that lengths can be compared to the percent;
// policies see samples with noise.

#ifndef TANDEM_TESTS_ENGINE_SPECULATION_SHARED_PASSES_H_
#define TANDEM_TESTS_ENGINE_SPECULATION_SHARED_PASSES_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/speculation/draft_policy.h"

namespace tandem {

// A target and its drafter. Costs are microseconds of a pass of `rows`.
struct SimulatedPair {
  std::string name;
  std::function<double(double rows)> target_us;
  std::function<double(double rows)> draft_us;
  double chance = 0;  // that a draft is right where those before it are
  bool takes_turns = true;
  double round_trip_us = 300;  // of a request, beside the worker
  double noise = 0.1;          // standard deviation of a pass, as a share
};

struct SimulatedSession {
  double chance = 0;
  std::optional<int> fixed = {};  // length; absent: the policy's
  int coordinator = 0;
  double from_us = 0;
  double until_us = std::numeric_limits<double>::infinity();
};

struct SimulatedLoad {
  std::vector<SimulatedSession> sessions;
  int prompt_tokens = 32;
  int output_tokens = 128;
  double duration_us = 60e6;
};

struct SharedResult {
  double tokens = 0;  // of sessions that follow a policy, or would
  int64_t rounds = 0;
  int64_t changes = 0;  // of the policies' lengths, seen at reports
  double probe_rounds = 0;
  std::vector<int> lengths;  // at the end, by coordinator
};

// `fixed`: the length of all sessions that have none of their own; absent: a
// DraftPolicy for each coordinator decides.
SharedResult RunShared(const SimulatedPair& pair, const SimulatedLoad& load,
                       std::optional<int> fixed, uint32_t seed);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SPECULATION_SHARED_PASSES_H_
