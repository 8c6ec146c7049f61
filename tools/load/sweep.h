// A load run with several draft lengths in turn, with the replies' format and
// without it, round after round, so that what else happens on the machine falls
// on all alike; and their ratios.

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
  bool with_format = false;
  LoadFigures figures = {};  // of all rounds
  // Generated tokens per second of each round, in the order of the rounds.
  std::vector<double> rates = {};
  // Medians over rounds of the round's own quotients of rates; absent where the
  // sweep has no such row. The first two are to rows that have the format, or
  // have it not, as this one.
  std::optional<double> ratio_to_plain = {};       // length 0
  std::optional<double> ratio_to_best_fixed = {};  // the fastest one overall
  std::optional<double> ratio_to_free = {};  // this length without the format
};

struct SweepOptions {
  std::vector<DraftLength> lengths;
  int rounds = 1;
  // Requests ask for a format of the reply: each length has two rows, without
  // it and with it.
  bool has_format = false;
};

// Runs each row once a round; odd rounds go backwards. `run` gets the base
// options with length, format and salt set; nothing: it was interrupted, and
// the sweep ends with the rounds that are whole.
std::vector<SweepRow> RunSweep(
    const LoadOptions& base, const SweepOptions& options,
    const std::function<std::optional<LoadFigures>(const LoadOptions&)>& run);

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_SWEEP_H_
