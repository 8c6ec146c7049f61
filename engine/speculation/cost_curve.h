// What a pass of so many rows costs, made of what was measured: monotone, with
// an answer for every row count. Owned by whoever measures; one thread.

#ifndef TANDEM_ENGINE_SPECULATION_COST_CURVE_H_
#define TANDEM_ENGINE_SPECULATION_COST_CURVE_H_

#include <vector>

#include "absl/types/span.h"

namespace tandem {

// A pass of `rows` took `us` microseconds.
struct StepCost {
  int rows = 0;
  double us = 0;
  // Passes that `us` is the average of; old ones count less.
  double passes = 1;
};

class CostCurve {
 public:
  // Weight of the newest pass in the average of its row count; more where the
  // average stands for fewer passes than this weighs.
  static constexpr double kNewestWeight = 0.2;
  // Passes that count as lately: a row count that was not seen for so many has
  // little weight beside one that was.
  static constexpr double kLatelyPasses = 256;
  // Row counts up to this stand for themselves; larger ones count as the next
  // multiple of it, at so much more time.
  static constexpr int kExactRowsMax = 32;

  // A pass of this many rows shows what a token of a prompt costs.
  static constexpr double kPromptRows = 64;

  CostCurve() = default;
  // Averages of row counts; rows at least 1, ascending.
  explicit CostCurve(absl::Span<const StepCost> costs);

  // A pass of `rows` >= 1 took `us`.
  void Add(int rows, double us);

  bool empty() const { return seen_.empty(); }
  // By row count, ascending and monotone; what the constructor takes.
  const std::vector<StepCost>& costs() const { return curve_; }

  // Microseconds of a pass of `rows`, 0 where nothing was seen. Never falls
  // with the row count: measurements that contradict each other are averaged,
  // by the passes that they stand for.
  // Between measurements a pass costs what reading the weights does, until
  // computing limits: the lesser one's cost, then by the row up to the greater
  // one's, but never above the line that joins them. Too low an estimate is
  // tried and measured, too high a one would never be. So below the least row
  // count a pass costs by the row. Above the greatest it goes on with the slope
  // of the upper half, or, with one measurement alone, with half of its cost by
  // the row.
  double At(double rows) const;

  // Microseconds that a pass of `rows` takes at most, by what was seen: the
  // slowest average, or the dearest row times `rows` (a pass of many rows is
  // not dearer than many passes of one). 0 where nothing was seen.
  double UpperEstimateUs(int rows) const;

  // Microseconds that a prompt of `tokens` takes, in passes of kPromptRows.
  double PromptUs(double tokens) const {
    return At(kPromptRows) / kPromptRows * tokens;
  }

 private:
  // Makes curve_ of seen_.
  void Draw();

  std::vector<StepCost> seen_;
  std::vector<StepCost> curve_;  // monotone
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_COST_CURVE_H_
