#include "services/coordinator/routing/placement.h"

#include <algorithm>
#include <vector>

#include "engine/base/check.h"

namespace tandem {
namespace {

// The costs of a pool that has not computed yet: a small model on a few cores.
// Only their ratios matter.
const CostCurve& FirstCosts() {
  static const CostCurve curve(
      std::vector<StepCost>{{.rows = 1, .us = 20000}, {.rows = 64, .us = 2e5}});
  return curve;
}

bool Knows(const Candidate& candidate) {
  return candidate.costs != nullptr && !candidate.costs->passes.empty();
}

// Tokens whose KV the worker holds now, in use or from earlier sequences.
Position TokensHeld(const WorkerLoad& load) {
  return (load.kv_pages_total - load.kv_pages_free + load.kv_pages_cached) *
         load.kv_page_tokens;
}

}  // namespace

Position CachedTokens(const Candidate& candidate, const Placement& placement) {
  const WorkerLoad& load = candidate.load;
  Position cached = std::min(candidate.cached, placement.tokens - 1);
  if (load.kv_pages_total > 0) cached = std::min(cached, TokensHeld(load));
  return std::max<Position>(0, cached);
}

PlacementCost CostOf(const Candidate& candidate, const Placement& placement,
                     const CostCurve& unknown) {
  const WorkerLoad& load = candidate.load;
  const CostCurve& passes =
      Knows(candidate) ? candidate.costs->passes : unknown;
  const double new_tokens = static_cast<double>(
      placement.tokens - CachedTokens(candidate, placement));
  const int sharing = load.streams + load.requests_pending;
  const double prompt_us = passes.PromptUs(new_tokens);
  const double pass_us = passes.At(1 + sharing);
  const double more_us = pass_us - (sharing == 0 ? 0 : passes.At(sharing));
  return {.avoided = candidate.avoided,
          .full = !HasRoom(load, placement.tokens_max),
          .time_us =
              prompt_us * (1 + sharing) +
              placement.generated *
                  ((pass_us + load.other_pass_us) * (1 + load.streams_queued) +
                   more_us * (sharing + load.other_streams)),
          .streams = sharing + load.other_streams};
}

size_t ChooseCheapest(absl::Span<const Candidate> candidates,
                      const Placement& placement, std::minstd_rand* random) {
  TANDEM_CHECK(!candidates.empty());
  const auto known = std::find_if(candidates.begin(), candidates.end(), Knows);
  const CostCurve& unknown =
      known == candidates.end() ? FirstCosts() : known->costs->passes;
  size_t best = 0;
  PlacementCost best_cost = CostOf(candidates[0], placement, unknown);
  unsigned equals = 1;
  for (size_t i = 1; i < candidates.size(); ++i) {
    const PlacementCost cost = CostOf(candidates[i], placement, unknown);
    if (cost < best_cost) {
      equals = 1;
    } else if (cost != best_cost || (*random)() % ++equals != 0) {
      continue;
    }
    best = i;
    best_cost = cost;
  }
  return best;
}

}  // namespace tandem
