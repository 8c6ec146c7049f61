#include "services/worker/step_costs.h"

#include <algorithm>
#include <vector>

namespace tandem {

void StepCosts::Add(int rows, double step_us) {
  const int counted = rows <= kExactRowsMax ? rows
                                            : (rows + kExactRowsMax - 1) /
                                                  kExactRowsMax * kExactRowsMax;
  // So many rows cost by the row: computing, not reading, is what limits.
  step_us *= static_cast<double>(counted) / rows;
  const auto [entry, is_new] = averages_.try_emplace(counted, step_us);
  if (!is_new) entry->second += kNewestWeight * (step_us - entry->second);
}

CostCurve StepCosts::Curve() const {
  std::vector<StepCost> costs;
  costs.reserve(averages_.size());
  for (const auto& [rows, step_us] : averages_) {
    costs.push_back({.rows = rows, .us = step_us});
  }
  return CostCurve(costs);
}

double StepCosts::UpperEstimateUs(int rows) const {
  double slowest_us = 0;
  double row_us = 0;
  for (const auto& [step_rows, step_us] : averages_) {
    slowest_us = std::max(slowest_us, step_us);
    row_us = std::max(row_us, step_us / step_rows);
  }
  return std::max(slowest_us, row_us * rows);
}

}  // namespace tandem
