#include "services/worker/step_costs.h"

#include <algorithm>

namespace tandem {

void StepCosts::Add(int rows, double step_us) {
  const int counted = rows <= kExactRowsMax ? rows
                                            : (rows + kExactRowsMax - 1) /
                                                  kExactRowsMax * kExactRowsMax;
  const auto [entry, is_new] = averages_.try_emplace(counted, step_us);
  if (!is_new) entry->second += kNewestWeight * (step_us - entry->second);
}

double StepCosts::slowest_us() const {
  double slowest = 0;
  for (const auto& [rows, step_us] : averages_) {
    slowest = std::max(slowest, step_us);
  }
  return slowest;
}

}  // namespace tandem
