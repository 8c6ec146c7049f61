#include "engine/speculation/cost_curve.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

// What stands for the part of a pass that does not depend on its rows, below
// the least row count seen.
constexpr double kFixedShare = 0.5;
// Of the mean cost of a row, above the only row count seen.
constexpr double kLoneSlope = 0.25;

bool HasFewerRows(const StepCost& cost, double rows) {
  return cost.rows < rows;
}

}  // namespace

CostCurve::CostCurve(absl::Span<const StepCost> costs)
    : seen_(costs.begin(), costs.end()) {
  for (const StepCost& cost : seen_) trends_.push_back({.us = cost.us});
  Draw();
}

void CostCurve::Add(int rows, double us) {
  const int counted = rows <= kExactRowsMax ? rows
                                            : (rows + kExactRowsMax - 1) /
                                                  kExactRowsMax * kExactRowsMax;
  // So many rows cost by the row: computing, not reading, is what limits.
  us *= static_cast<double>(counted) / rows;
  const auto it =
      std::lower_bound(seen_.begin(), seen_.end(), counted, HasFewerRows);
  if (it != seen_.end() && it->rows == counted) {
    it->us += kNewestWeight * (us - it->us);
    FollowTrend(it - seen_.begin(), us);
  } else {
    trends_.insert(trends_.begin() + (it - seen_.begin()), Trend{.us = us});
    seen_.insert(it, {.rows = counted, .us = us});
  }
  Draw();
}

void CostCurve::FollowTrend(size_t index, double us) {
  Trend& trend = trends_[index];
  const double before_us = trend.us;
  const bool is_known = trend.passes == kTrendPasses;
  trend.passes = std::min(trend.passes + 1, kTrendPasses);
  trend.us += (us - before_us) / trend.passes;
  if (!is_known || before_us <= 0) return;
  const double change = trend.us / before_us - 1;
  for (size_t i = 0; i < seen_.size(); ++i) {
    if (i == index) continue;
    const double doublings = std::abs(
        std::log2(static_cast<double>(seen_[i].rows) / seen_[index].rows));
    const double factor =
        1 + std::max(1 - doublings / kReachDoublings, 0.0) * change;
    seen_[i].us *= factor;
    trends_[i].us *= factor;
  }
}

void CostCurve::Draw() {
  curve_ = seen_;
  for (size_t i = curve_.size(); i-- > 1;) {
    curve_[i - 1].us = std::min(curve_[i - 1].us, curve_[i].us);
  }
}

double CostCurve::At(double rows) const {
  if (curve_.empty()) return 0;
  const StepCost& first = curve_.front();
  const StepCost& last = curve_.back();
  if (rows <= first.rows) {
    return first.us * (kFixedShare + (1 - kFixedShare) * rows / first.rows);
  }
  if (rows >= last.rows) {
    double slope = kLoneSlope * last.us / last.rows;
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
