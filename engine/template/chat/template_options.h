// What a caller sets for a chat template beside messages: variables, the day,
// which of a file's templates it is. Values and pure functions; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_OPTIONS_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace tandem {

// A variable that the template may read. Two names are ours, below.
struct TemplateOption {
  std::string name;
  std::variant<bool, int64_t, double, std::string> value;
};

// The day that strftime_now tells, as "YYYY-MM-DD".
inline constexpr char kDateOption[] = "date";
// The name of the template in the file.
inline constexpr char kTemplateOption[] = "template";

// Limits; more is refused.
inline constexpr size_t kTemplateOptionsMax = 32;
inline constexpr size_t kTemplateOptionsBytesMax = 4096;  // names and values
inline constexpr size_t kTemplateNameBytesMax = 64;  // of options, templates

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for options over the limits, a
// name that is no identifier or stands for something else in templates, a
// number that is not finite, a "date" that is none. Fields are
// "template_options.NAME".
absl::Status CheckTemplateOptions(absl::Span<const TemplateOption> options);

// INVALID_OPTIONS of the option `name`.
absl::Status BadTemplateOption(absl::string_view name, absl::string_view what);

// The value of an option that must be a text; "" where it is not there.
absl::StatusOr<std::string> TextOption(absl::Span<const TemplateOption> options,
                                       absl::string_view name);

// The day that `date`, "YYYY-MM-DD", names, from the year 1000 on; nothing
// where it names none.
std::optional<absl::CivilDay> ParseDate(absl::string_view date);

// The day of `time` in UTC, "YYYY-MM-DD".
std::string UtcDate(absl::Time time);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_OPTIONS_H_
