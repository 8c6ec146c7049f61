#include "services/worker/schedule/batch_planner.h"

#include <algorithm>

namespace tandem {
namespace {

// Rows that decode rows leave to prompts that wait.
int RowsKept(int rows_max) { return std::min(kPromptRowsMin, rows_max / 4); }

}  // namespace

int PromptRowsBeside(int decode_rows, const StepLimits& limits) {
  const int rows_left = limits.rows_max - decode_rows;
  if (limits.costs == nullptr || limits.costs->empty()) {
    return std::min(rows_left, kPromptRowsUnmeasured);
  }
  // The costs never fall with the rows, so the greatest that is cheap enough
  // is found by halving.
  int enough = std::min(rows_left, kPromptRowsMin);
  int too_many = rows_left + 1;
  while (too_many - enough > 1) {
    const int middle = enough + (too_many - enough) / 2;
    if (limits.costs->At(decode_rows + middle) <= kMixedStepUsMax) {
      enough = middle;
    } else {
      too_many = middle;
    }
  }
  return enough;
}

void BatchPlanner::Plan(absl::Span<RowClaim> decodes,
                        absl::Span<RowClaim> prompts,
                        const StepLimits& limits) {
  const int rows_max = limits.rows_max;
  // A decode's rows go together where they can: half a draft is worth little.
  const int decode_rows = decodes_.Divide(
      decodes, {.rows = rows_max - (prompts.empty() ? 0 : RowsKept(rows_max)),
                .portion = rows_max});
  prompts_.Divide(prompts, {.rows = decode_rows == 0
                                        ? rows_max
                                        : PromptRowsBeside(decode_rows, limits),
                            .portion = kPromptRowsMin});
}

}  // namespace tandem
