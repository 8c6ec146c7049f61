// Which streams get how many rows of the next pass. Owned by the compute loop;
// one thread; no clock: a function of the claims, of the costs seen and of the
// streams that were served before.
//
// Decode rows come first: clients wait for them. Prompt chunks share what is
// left. Both are fair between tenants and then between streams (fair_share.h).
// Beside decode rows prompts get as many as keep the pass below kMixedStepUsMax
// by the measured costs, because every waiting client waits for the whole pass;
// but at least kPromptRowsMin in all, so that prompts get on where a pass is
// slower than that.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_BATCH_PLANNER_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_BATCH_PLANNER_H_

#include "absl/types/span.h"
#include "engine/speculation/cost_curve.h"
#include "services/worker/schedule/fair_share.h"

namespace tandem {

// What a pass with rows that clients wait for may take, in microseconds: a
// client sees its next tokens four times a second, whatever is prefilled.
inline constexpr double kMixedStepUsMax = 250000;
// Prompt rows that a pass keeps in any case, or a quarter of its rows where it
// is narrow, and the portion in which prompts share rows: fewer are not worth a
// place in the pass.
inline constexpr int kPromptRowsMin = 16;
// Prompt rows beside decode rows while no cost is known.
inline constexpr int kPromptRowsUnmeasured = 64;

struct StepLimits {
  int rows_max = 0;
  // What passes cost, by rows; null or empty: nothing is known.
  const CostCurve* costs = nullptr;
};

// Prompt rows that a pass with `decode_rows` >= 1 takes at most.
int PromptRowsBeside(int decode_rows, const StepLimits& limits);

class BatchPlanner {
 public:
  // Grants rows of one pass to streams that clients wait for and to prompts.
  // Each claims at least 1 row and at most limits.rows_max.
  void Plan(absl::Span<RowClaim> decodes, absl::Span<RowClaim> prompts,
            const StepLimits& limits);

 private:
  FairShare decodes_;
  FairShare prompts_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_BATCH_PLANNER_H_
