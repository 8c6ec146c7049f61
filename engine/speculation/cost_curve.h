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
};

class CostCurve {
 public:
  // Weight of the newest pass in the average of its row count.
  static constexpr double kNewestWeight = 0.2;
  // Row counts up to this stand for themselves; larger ones count as the next
  // multiple of it, at so much more time.
  static constexpr int kExactRowsMax = 32;

  // Passes in a slower average, the trend, which tells changes from noise, and
  // doublings of the row count from which on it tells nothing.
  static constexpr int kTrendPasses = 50;
  static constexpr double kReachDoublings = 4;

  // A pass of this many rows shows what a token of a prompt costs.
  static constexpr double kPromptRows = 64;

  CostCurve() = default;
  // Averages of row counts; rows at least 1, ascending.
  explicit CostCurve(absl::Span<const StepCost> costs);

  // A pass of `rows` >= 1 took `us`. Where passes of so many rows have become
  // dearer or cheaper, so have others, the less the further their row counts
  // are: memory's speed changes, contexts grow, and what is not run now would
  // seem to be what it was then.
  void Add(int rows, double us);

  bool empty() const { return seen_.empty(); }
  // By row count, ascending; what the constructor takes.
  const std::vector<StepCost>& costs() const { return seen_; }

  // Microseconds of a pass of `rows`, 0 where nothing was seen. Never falls
  // with the row count: of two measurements that say otherwise the cheaper one
  // holds, since a pass is slowed down by accident and never sped up. Between
  // measurements it is what reading the weights costs, until computing limits:
  // the lesser one's cost, then by the row up to the greater one's, but never
  // above the line that joins them. Too low an estimate is tried and measured,
  // too high a one would never be. Below the least row count, down to half the
  // cost at no row: a part is fixed, the rest is by the row.
  // Above the greatest it goes on with the slope of the upper half, or, with
  // one measurement alone, with a quarter of its cost a row.
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
  // Another pass of seen_[index] took `us`: moves the others with its trend.
  void FollowTrend(size_t index, double us);
  // Makes curve_ of seen_.
  void Draw();

  std::vector<StepCost> seen_;
  struct Trend {
    double us = 0;
    int passes = 1;  // kTrendPasses at most
  };
  std::vector<Trend> trends_;    // of each of seen_
  std::vector<StepCost> curve_;  // monotone
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_COST_CURVE_H_
