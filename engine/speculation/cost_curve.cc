#include "engine/speculation/cost_curve.h"

#include <algorithm>

namespace tandem {
namespace {

// The share of a pass's cost that does not depend on its rows, where one row
// count alone is known: between reading (all) and computing (none).
constexpr double kFixedShare = 0.5;

bool HasFewerRows(const StepCost& cost, double rows) {
  return cost.rows < rows;
}

}  // namespace

CostCurve::CostCurve(absl::Span<const StepCost> costs)
    : seen_(costs.begin(), costs.end()) {
  Draw();
}

void CostCurve::Add(int rows, double us) {
  const int counted = rows <= kExactRowsMax ? rows
                                            : (rows + kExactRowsMax - 1) /
                                                  kExactRowsMax * kExactRowsMax;
  // Passes of this many rows cost by the row: computing limits, not reading.
  us *= static_cast<double>(counted) / rows;
  for (StepCost& cost : seen_) cost.passes *= 1 - 1 / kLatelyPasses;
  const auto it =
      std::lower_bound(seen_.begin(), seen_.end(), counted, HasFewerRows);
  if (it != seen_.end() && it->rows == counted) {
    it->passes += 1;
    it->us += std::max(kNewestWeight, 1 / it->passes) * (us - it->us);
  } else {
    seen_.insert(it, {.rows = counted, .us = us});
  }
  Draw();
}

void CostCurve::Draw() {
  // Isotonic regression: neighbours that contradict each other are averaged.
  struct Pool {
    size_t begin = 0;  // of seen_
    double us = 0;
    double passes = 0;
  };
  std::vector<Pool> pools;
  for (size_t i = 0; i < seen_.size(); ++i) {
    Pool pool = {.begin = i, .us = seen_[i].us, .passes = seen_[i].passes};
    while (!pools.empty() && pools.back().us > pool.us) {
      const Pool& last = pools.back();
      const double passes = last.passes + pool.passes;
      pool = {.begin = last.begin,
              .us = (last.us * last.passes + pool.us * pool.passes) / passes,
              .passes = passes};
      pools.pop_back();
    }
    pools.push_back(pool);
  }
  curve_ = seen_;
  for (size_t i = 0; i < pools.size(); ++i) {
    const size_t end = i + 1 < pools.size() ? pools[i + 1].begin : seen_.size();
    for (size_t j = pools[i].begin; j < end; ++j) curve_[j].us = pools[i].us;
  }
}

double CostCurve::At(double rows) const {
  if (curve_.empty()) return 0;
  const StepCost& first = curve_.front();
  const StepCost& last = curve_.back();
  if (rows <= first.rows) {
    return first.us * rows / first.rows;
  }
  if (rows >= last.rows) {
    double slope = (1 - kFixedShare) * last.us / last.rows;
    if (curve_.size() > 1) {
      // A wide base, so that the noise of two neighbours is no slope.
      auto base = std::lower_bound(curve_.begin(), curve_.end(),
                                   last.rows / 2.0, HasFewerRows);
      if (base + 1 == curve_.end()) --base;
      slope = (last.us - base->us) / (last.rows - base->rows);
    }
    return last.us + slope * (rows - last.rows);
  }
  const auto above =
      std::lower_bound(curve_.begin(), curve_.end(), rows, HasFewerRows);
  const auto below = above - 1;
  const double part = (rows - below->rows) / (above->rows - below->rows);
  const double line = below->us + part * (above->us - below->us);
  return std::min(line, std::max(below->us, above->us * rows / above->rows));
}

double CostCurve::UpperEstimateUs(int rows) const {
  double slowest_us = 0;
  double row_us = 0;
  for (const StepCost& cost : seen_) {
    slowest_us = std::max(slowest_us, cost.us);
    row_us = std::max(row_us, cost.us / cost.rows);
  }
  return std::max(slowest_us, row_us * rows);
}

}  // namespace tandem
