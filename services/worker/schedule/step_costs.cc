#include "services/worker/schedule/step_costs.h"

#include <algorithm>

namespace tandem {

std::map<int, double> StepCosts::averages() const {
  std::map<int, double> averages;
  for (const StepCost& cost : curve_.costs()) averages[cost.rows] = cost.us;
  return averages;
}

double StepCosts::UpperEstimateUs(int rows) const {
  double slowest_us = 0;
  double row_us = 0;
  for (const StepCost& cost : curve_.costs()) {
    slowest_us = std::max(slowest_us, cost.us);
    row_us = std::max(row_us, cost.us / cost.rows);
  }
  return std::max(slowest_us, row_us * rows);
}

}  // namespace tandem
