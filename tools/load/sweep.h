// A load run with several draft lengths in turn, round after round, so that
// what else happens on the machine falls on all alike; and their ratios.

#ifndef TANDEM_TOOLS_LOAD_SWEEP_H_
#define TANDEM_TOOLS_LOAD_SWEEP_H_

#include <functional>
#include <optional>
#include <vector>

#include "tools/load/load_figures.h"
#include "tools/load/turn_source.h"

namespace tandem::load {

// Absent: automatic.
using DraftLength = std::optional<int>;

struct SweepRow {
  DraftLength draft_length;
  LoadFigures figures = {};  // of all rounds
  // Generated tokens per second of each round, in the order of the rounds.
  std::vector<double> rates = {};
  // Medians over rounds of the round's own quotients of rates; absent where the
  // sweep has no such length.
  std::optional<double> ratio_to_plain = {};       // length 0
  std::optional<double> ratio_to_best_fixed = {};  // the fastest one overall
};

struct SweepOptions {
  std::vector<DraftLength> lengths;
  int rounds = 1;
};

// Runs each length once a round; odd rounds go backwards. `run` gets the base
// options with length and salt set; nothing: it was interrupted, and the sweep
// ends with the rounds that are whole.
std::vector<SweepRow> RunSweep(
    const LoadOptions& base, const SweepOptions& options,
    const std::function<std::optional<LoadFigures>(const LoadOptions&)>& run);

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_SWEEP_H_
