// What it costs to place a sequence at a worker, and who costs the least. Pure
// functions; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_ROUTING_PLACEMENT_H_
#define TANDEM_SERVICES_COORDINATOR_ROUTING_PLACEMENT_H_

#include <compare>
#include <cstddef>
#include <memory>
#include <random>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/speculation/cost_curve.h"
#include "services/coordinator/turn/load_tracker.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

// A turn's length is not known before; so many tokens at most are expected, so
// that a large max_tokens does not make a prompt's cost look small.
inline constexpr int kGeneratedExpected = 128;
// The sequence that looks for a place.
struct Placement {
  Position tokens = 0;      // that it begins with
  Position tokens_max = 0;  // for its KV
  int generated = 0;        // expected
};

// A worker that could have it.
struct Candidate {
  WorkerLoad load;
  std::shared_ptr<const WorkerCosts> costs;  // null: not told yet
  Position cached = 0;   // of the sequence's tokens, may have their KV there
  bool avoided = false;  // has failed this turn
};

// Smaller is better, from the first field on.
struct PlacementCost {
  bool avoided = false;
  bool full = false;   // no KV for it
  double time_us = 0;  // its own until its end, and what it costs the others
  int streams = 0;     // that it would share with, where times are equal

  friend std::partial_ordering operator<=>(const PlacementCost&,
                                           const PlacementCost&) = default;
};

// Tokens of the sequence that the worker need not compute, as far as can be
// told: not the last one.
Position CachedTokens(const Candidate& candidate, const Placement& placement);

// The time of the prompt's tokens that must be computed, of the expected tokens
// at the pace that the worker's streams leave, and of those that wait there;
// and how much longer all that makes the streams take that are there already.
// Without the latter a cached prefix would draw sessions to one worker at the
// others' cost: in simulation that is up to a tenth less of tokens in all.
// `unknown`: what passes cost at a worker that has not told.
PlacementCost CostOf(const Candidate& candidate, const Placement& placement,
                     const CostCurve& unknown);

// The index of the cheapest; `random` decides between equals, so that several
// coordinators do not all take the first. At least one candidate. A worker that
// has not told its costs counts as the first that has.
size_t ChooseCheapest(absl::Span<const Candidate> candidates,
                      const Placement& placement, std::minstd_rand* random);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_ROUTING_PLACEMENT_H_
