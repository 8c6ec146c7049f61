#include "tools/load/sweep.h"

#include <algorithm>
#include <utility>

namespace tandem::load {
namespace {

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

// Median over rounds of the rate of `row` by that of `base`; null: none.
std::optional<double> RatioTo(const SweepRow* base, const SweepRow& row) {
  if (base == nullptr) return std::nullopt;
  std::vector<double> ratios;
  for (size_t round = 0; round < row.rates.size(); ++round) {
    if (base->rates[round] > 0) {
      ratios.push_back(row.rates[round] / base->rates[round]);
    }
  }
  if (ratios.empty()) return std::nullopt;
  return Median(std::move(ratios));
}

void SetRatios(std::vector<SweepRow>* rows) {
  for (SweepRow& row : *rows) {
    const SweepRow* plain = nullptr;
    const SweepRow* best = nullptr;
    const SweepRow* unformatted = nullptr;
    for (const SweepRow& other : *rows) {
      const bool is_same_length = other.draft_length == row.draft_length;
      if (is_same_length && !other.with_format) unformatted = &other;
      if (other.with_format != row.with_format) continue;
      if (!other.draft_length.has_value()) continue;
      if (*other.draft_length == 0) plain = &other;
      if (best == nullptr || other.figures.generated_per_second() >
                                 best->figures.generated_per_second()) {
        best = &other;
      }
    }
    row.ratio_to_plain = RatioTo(plain, row);
    row.ratio_to_best_fixed = RatioTo(best, row);
    if (row.with_format) row.ratio_to_free = RatioTo(unformatted, row);
  }
}

}  // namespace

std::vector<SweepRow> RunSweep(
    const LoadOptions& base, const SweepOptions& options,
    const std::function<std::optional<LoadFigures>(const LoadOptions&)>& run) {
  std::vector<SweepRow> rows;
  for (const DraftLength& length : options.lengths) {
    rows.push_back({.draft_length = length});
    if (!options.has_format) continue;
    rows.push_back({.draft_length = length, .with_format = true});
  }
  LoadOptions load = base;
  bool was_interrupted = false;
  for (int round = 0; round < options.rounds && !was_interrupted; ++round) {
    std::vector<std::optional<LoadFigures>> figures(rows.size());
    for (size_t i = 0; i < rows.size() && !was_interrupted; ++i) {
      const size_t at = round % 2 == 0 ? i : rows.size() - 1 - i;
      load.draft_length = rows[at].draft_length;
      load.with_format = rows[at].with_format;
      ++load.salt;
      figures[at] = run(load);
      was_interrupted = !figures[at].has_value();
    }
    for (size_t i = 0; i < rows.size() && !was_interrupted; ++i) {
      rows[i].rates.push_back(figures[i]->generated_per_second());
      rows[i].figures.Merge(*figures[i]);
    }
  }
  SetRatios(&rows);
  return rows;
}

}  // namespace tandem::load
