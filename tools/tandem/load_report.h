// What `tandem bench serve` tells: pure functions of the figures.

#ifndef TANDEM_TOOLS_TANDEM_LOAD_REPORT_H_
#define TANDEM_TOOLS_TANDEM_LOAD_REPORT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "tools/load/load_figures.h"
#include "tools/load/load_run.h"
#include "tools/load/sweep.h"
#include "tools/tandem/json_output.h"

namespace tandem::cli {

// seconds, turns, throughput, latency_us, speculation, finish_reasons, errors;
// cached_tokens and queue_us where the server told them.
Json LoadJson(const load::LoadFigures& figures);
// The same in lines.
std::string LoadText(const load::LoadFigures& figures);

// Per row draft_length, ratio_to_plain, ratio_to_best_fixed and LoadJson's.
Json SweepJson(absl::Span<const load::SweepRow> rows);
// A table, a line for each row.
std::string SweepText(absl::Span<const load::SweepRow> rows);

// One line without its end.
std::string ProgressText(const load::LoadProgress& progress);
Json ProgressJson(const load::LoadProgress& progress);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_LOAD_REPORT_H_
