// What a pass of so many rows costs, as a moving average. One thread.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_STEP_COSTS_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_STEP_COSTS_H_

#include <map>

#include "engine/speculation/cost_curve.h"

namespace tandem {

class StepCosts {
 public:
  // Weight of the newest Step in the average.
  static constexpr double kNewestWeight = CostCurve::kNewestWeight;

  // A Step of `rows` >= 1 took `step_us`.
  void Add(int rows, double step_us) { curve_.Add(rows, step_us); }

  // Rows (ascending) -> microseconds; at most 32 + 4096 / 32 entries.
  std::map<int, double> averages() const;
  // A monotone curve through them.
  const CostCurve& Curve() const { return curve_; }
  // What a Step of `rows` takes at most, by what was seen: the slowest average,
  // or the dearest row times `rows` (a pass of many rows is not dearer than
  // many passes of one). 0 before the first Step.
  double UpperEstimateUs(int rows) const;

 private:
  CostCurve curve_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_STEP_COSTS_H_
