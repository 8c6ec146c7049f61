#include "tools/tandem/base/command.h"

#include <utility>

#include "absl/strings/str_replace.h"
#include "engine/base/status.h"
#include "tools/tandem/base/terminal_text.h"

namespace tandem::cli {

absl::Status UsageError(absl::string_view message) {
  return InvalidArgument(kReasonUsage, message);
}

absl::Status InterruptedError() {
  return MakeError(absl::StatusCode::kCancelled, {.reason = kReasonInterrupted},
                   "interrupted");
}

std::string OneLine(const absl::Status& status) {
  std::string text(status.message());
  if (text.empty()) text = absl::StatusCodeToString(status.code());
  return HarmlessText(absl::StrReplaceAll(text, {{"\r", ""}, {"\n", " "}}));
}

std::function<void(double)> TellTenths(std::string what, std::ostream* err) {
  return [what = std::move(what), err, shown = -1](double fraction) mutable {
    const int tenth = static_cast<int>(fraction * 10);
    if (tenth == shown) return;
    shown = tenth;
    *err << what << " " << tenth * 10 << "%\n";
  };
}

}  // namespace tandem::cli
