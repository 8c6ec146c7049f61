// What a pass of so many rows costs, as a moving average. One thread.

#ifndef TANDEM_SERVICES_WORKER_STEP_COSTS_H_
#define TANDEM_SERVICES_WORKER_STEP_COSTS_H_

#include <cstdint>
#include <map>

#include "engine/speculation/cost_curve.h"

namespace tandem {

class StepCosts {
 public:
  // Row counts up to this stand for themselves; larger ones count as the next
  // multiple of it, which bounds a report to 32 + 4096 / 32 entries.
  static constexpr int kExactRowsMax = 32;
  // Weight of the newest Step in the average.
  static constexpr double kNewestWeight = 0.2;

  // A Step of `rows` >= 1 took `step_us`.
  void Add(int rows, double step_us);

  // Rows (ascending) -> microseconds.
  const std::map<int, double>& averages() const { return averages_; }
  // A monotone curve through them.
  CostCurve Curve() const;
  // What a Step of `rows` takes at most, by what was seen: the slowest average,
  // or the dearest row times `rows` (a pass of many rows is not dearer than
  // many passes of one). 0 before the first Step.
  double UpperEstimateUs(int rows) const;

 private:
  std::map<int, double> averages_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_STEP_COSTS_H_
