// What `tandem bench serve` prints: pure functions of the figures. Every report
// is a JSON object, which cli::PrintReport shows as text.

#ifndef TANDEM_TOOLS_LOAD_LOAD_REPORT_H_
#define TANDEM_TOOLS_LOAD_LOAD_REPORT_H_

#include "absl/types/span.h"
#include "tools/load/load_run.h"
#include "tools/load/sweep.h"
#include "tools/tandem/base/output.h"

namespace tandem::load {

// seconds, turns, throughput, latency_us, speculation, finish_reasons, errors;
// cached_tokens and queue_us where the server reported them.
cli::Json LoadJson(const LoadFigures& figures);

// Per row draft_length, with_format, ratio_to_plain, ratio_to_best_fixed,
// ratio_to_free, tokens_per_second_by_round and LoadJson's.
cli::Json SweepJson(absl::Span<const SweepRow> rows);
// What a table shows of it: the main figures of each row.
cli::Json SweepSummary(const cli::Json& sweep);

// seconds, turns_running, turns_ended, turns_failed,
// generated_tokens_per_second, between_events_p99_us.
cli::Json ProgressJson(const LoadProgress& progress);

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_REPORT_H_
