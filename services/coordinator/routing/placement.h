// What it costs to place a sequence at a worker, and which worker costs the
// least. Pure functions; any thread.

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

// Generated tokens that a turn is expected to have at most: its length is not
// known before, and a large max_tokens must not make its prompt's cost look
// small.
inline constexpr int kGeneratedExpected = 128;

// The sequence that looks for a place.
struct Placement {
  Position tokens = 0;      // it begins with these
  Position tokens_max = 0;  // its KV will hold these
  int generated = 0;        // expected
};

// A worker that could have the sequence.
struct Candidate {
  WorkerLoad load;
  std::shared_ptr<const WorkerCosts> costs;  // null: none reported yet
  Position cached = 0;   // tokens of the sequence whose KV it may have
  bool avoided = false;  // it has failed this turn
};

// Smaller is better, from the first field on.
struct PlacementCost {
  bool avoided = false;
  bool full = false;  // no KV for the sequence
  // Microseconds: the sequence's until its end, and what it adds to the
  // others'.
  double time_us = 0;
  int streams = 0;  // of the worker; they decide where times are equal

  friend std::partial_ordering operator<=>(const PlacementCost&,
                                           const PlacementCost&) = default;
};

// Tokens of the sequence that the worker probably need not compute: all that it
// may have, but for the sequence's last one.
Position CachedTokens(const Candidate& candidate, const Placement& placement);

// The cost of `placement` at the candidate. Its time is that of the prompt's
// tokens that must be computed and of the expected tokens at the pace that the
// worker's streams leave, with those that queue there; and what all that adds
// to the time of the streams that are there already. Without the last part a
// cached prefix would draw sessions to one worker at the cost of its other
// streams: in simulation all workers together give up to a tenth fewer tokens
// then. `unknown`: what passes cost at a worker that has not reported it.
PlacementCost CostOf(const Candidate& candidate, const Placement& placement,
                     const CostCurve& unknown);

// The index of the cheapest candidate, of at least one; `random` decides
// between equals, so that several coordinators do not all take the first. A
// worker that has not reported its costs counts as the first one that has.
size_t ChooseCheapest(absl::Span<const Candidate> candidates,
                      const Placement& placement, std::minstd_rand* random);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_ROUTING_PLACEMENT_H_
