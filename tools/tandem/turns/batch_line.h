// A line of a batch's input as a turn, and what came of it as a line of the
// output; README.md has both formats. Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_BATCH_LINE_H_
#define TANDEM_TOOLS_TANDEM_TURNS_BATCH_LINE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

// Of lines that do not say otherwise.
struct BatchDefaults {
  v1::GenerationOptions options = {};
  std::string model_id = {};
};

// What a line is to its output.
struct BatchLineName {
  Json id;             // the line's own, or its number, from 1
  std::string digest;  // of the line and the defaults
};

// A line of the input. `name` is set for a malformed one too, as far as it has
// one. Errors: INVALID_ARGUMENT with INVALID_OPTIONS.
struct BatchLine {
  BatchLineName name;
  absl::StatusOr<v1::TurnRequest> turn;
};
BatchLine ParseBatchLine(absl::string_view line, int64_t number,
                         const BatchDefaults& defaults);

// 16 hexadecimal digits by which a line of the output is known to be of this
// one.
std::string DigestOfLine(absl::string_view line, const BatchDefaults& defaults);

// Nothing in them depends on the time, the load or the worker.
Json ResultLine(const BatchLineName& name, const TurnRecord& record);
Json ErrorLine(const BatchLineName& name, const absl::Status& error);

// Whether `error` of a turn is due to its line: all others end the batch, which
// can go on later.
bool IsErrorOfLine(const absl::Status& error);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_BATCH_LINE_H_
