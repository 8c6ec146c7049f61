// What a pass of so many rows costs, as a moving average. One thread.

#ifndef TANDEM_SERVICES_WORKER_STEP_COSTS_H_
#define TANDEM_SERVICES_WORKER_STEP_COSTS_H_

#include <cstdint>
#include <map>

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
  // The largest average; 0 before the first Step.
  double slowest_us() const;

 private:
  std::map<int, double> averages_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_STEP_COSTS_H_
