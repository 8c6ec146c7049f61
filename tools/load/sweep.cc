#include "tools/load/sweep.h"

#include <algorithm>

namespace tandem::load {
namespace {

// Rates [round][length].
using Rates = std::vector<std::vector<double>>;

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

// Median over rounds of the rate at `index` by that at `base`.
std::optional<double> RatioTo(const Rates& rates, size_t index,
                              std::optional<size_t> base) {
  if (!base.has_value()) return std::nullopt;
  std::vector<double> ratios;
  for (const std::vector<double>& round : rates) {
    if (round[*base] > 0) ratios.push_back(round[index] / round[*base]);
  }
  if (ratios.empty()) return std::nullopt;
  return Median(std::move(ratios));
}

std::vector<size_t> OrderOf(int round, size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  if (round % 2 == 1) std::reverse(order.begin(), order.end());
  return order;
}

void SetRatios(const Rates& rates, std::vector<SweepRow>* rows) {
  std::optional<size_t> plain;
  std::optional<size_t> best;
  for (size_t i = 0; i < rows->size(); ++i) {
    const SweepRow& row = (*rows)[i];
    if (!row.draft_length.has_value()) continue;
    if (*row.draft_length == 0) plain = i;
    if (!best.has_value() ||
        row.figures.generated_per_second() >
            (*rows)[*best].figures.generated_per_second()) {
      best = i;
    }
  }
  for (size_t i = 0; i < rows->size(); ++i) {
    (*rows)[i].ratio_to_plain = RatioTo(rates, i, plain);
    (*rows)[i].ratio_to_best_fixed = RatioTo(rates, i, best);
  }
}

}  // namespace

std::vector<SweepRow> RunSweep(
    const LoadOptions& base, const SweepOptions& options,
    const std::function<std::optional<LoadFigures>(const LoadOptions&)>& run) {
  std::vector<SweepRow> rows;
  for (const DraftLength& length : options.lengths) {
    rows.push_back({.draft_length = length,
                    .figures = {},
                    .ratio_to_plain = {},
                    .ratio_to_best_fixed = {}});
  }
  Rates rates;
  int64_t salt = 0;
  for (int round = 0; round < options.rounds; ++round) {
    std::vector<LoadFigures> figures(rows.size());
    for (const size_t i : OrderOf(round, rows.size())) {
      LoadOptions load = base;
      load.draft_length = rows[i].draft_length;
      load.salt = ++salt;
      std::optional<LoadFigures> seen = run(load);
      if (!seen.has_value()) {
        SetRatios(rates, &rows);
        return rows;
      }
      figures[i] = *std::move(seen);
    }
    rates.emplace_back();
    for (size_t i = 0; i < rows.size(); ++i) {
      rates.back().push_back(figures[i].generated_per_second());
      rows[i].figures.Merge(figures[i]);
    }
  }
  SetRatios(rates, &rows);
  return rows;
}

}  // namespace tandem::load
