// Speed of a whole model: passes of a few rows, a prompt, decoding at a depth,
// and generation with and without speculation, beside what the machine can
// give in the same minutes. Figures are medians of runs that take turns, so
// that what the machine's other tenants do falls on all of them alike.

#ifndef TANDEM_TOOLS_BENCH_MODEL_BENCH_H_
#define TANDEM_TOOLS_BENCH_MODEL_BENCH_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/kernels/numerics_mode.h"

namespace tandem::bench {

struct ModelBenchOptions {
  std::string model = {};
  std::string draft = {};  // empty: no speculation
  int threads = 0;         // 0: one per CPU
  std::optional<NumericsMode> numerics = {};
  // Rows of the passes that verify; each 1 .. 256.
  std::vector<int> rows = {1, 2, 4, 8, 16};
  int prompt_tokens = 512;  // 0: not measured
  std::vector<Position> depths = {64, 4096};
  int runs = 5;    // of each figure
  int passes = 8;  // of one kind in a run
  // Of the speculative part.
  int generated_tokens = 512;
  int draft_length = 3;  // of the greedy runs
  int speculative_runs = 3;
  // Called with a line about what begins.
  std::function<void(absl::string_view what)> progress = {};
};

struct RowsFigure {
  int rows = 0;
  double seconds_per_pass = 0;
  double tokens_per_second = 0;
};

struct DepthFigure {
  Position depth = 0;
  double seconds_per_token = 0;
  double tokens_per_second = 0;
};

struct SpeculativeFigure {
  double plain_tokens_per_second = 0;
  double speculative_tokens_per_second = 0;
  double speedup = 0;                    // median of the runs' own ratios
  double acceptance_rate = 0;            // accepted / drafted
  std::optional<int> draft_length = {};  // absent: automatic
  int distinct_tokens = 0;  // of the text; a loop of few says little
};

struct ModelBenchReport {
  std::string simd;
  std::string numerics;
  int threads = 0;
  double read_bandwidth_gbps = 0;  // 1e9 bytes per second
  double int8_peak_gmacs = 0;      // 1e9 multiply-adds per second
  int64_t weight_bytes_per_pass = 0;
  int64_t macs_per_token = 0;
  double load_seconds = 0;
  std::vector<RowsFigure> rows;
  std::optional<RowsFigure> prompt;
  std::vector<DepthFigure> decode;
  // Greedy without penalties at the options' draft length; and the service's
  // default options (GenOptions).
  std::optional<SpeculativeFigure> speculative;
  std::optional<SpeculativeFigure> speculative_defaults;
};

// Errors: as Model::Load and Engine::Load; INVALID_ARGUMENT for options out of
// range or more tokens than the model's context has.
absl::StatusOr<ModelBenchReport> BenchModel(const ModelBenchOptions& options);

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_BENCH_MODEL_BENCH_H_
