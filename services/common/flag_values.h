// What flags may be given: validators for CLI11's options that name the value
// and what is wanted instead, for every program of tandem. Pure functions; any
// thread.
//
// CLI11 puts "--flag: " before what a validator says. Its own validators print
// bounds by their type (309 digits of a double) and its conversions take
// octal numbers and wrap negative ones round, so numbers are read here, in
// decimal, and handed on as they were understood.

#ifndef TANDEM_SERVICES_COMMON_FLAG_VALUES_H_
#define TANDEM_SERVICES_COMMON_FLAG_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// Bytes of a value that a message shows.
inline constexpr size_t kShownValueBytes = 40;

// `value` in quotes for a message: one line, cut where it is long.
std::string QuotedValue(absl::string_view value);

// low <= value <= high.
CLI::Validator WholeNumber(int64_t low, int64_t high);
// 0 .. 2^64 - 1.
CLI::Validator AnyUnsigned();
// low <= value <= high; never a NaN.
CLI::Validator Number(double low, double high);
// One of `names`.
CLI::Validator OneOf(const std::vector<std::string>& names);
// "auto", or a whole number from `low` to `high`.
CLI::Validator AutoOrWholeNumber(int64_t low, int64_t high);
// Not empty; `what` is missing else, e.g. "an address".
CLI::Validator NotEmpty(const std::string& what);

// The one of `names` that `word` is most probably a misspelling of: at most a
// third of its letters are wrong, missing, too many or swapped with their
// neighbour, or one begins with the other. Empty: none is near.
std::string NearestName(absl::string_view word,
                        absl::Span<const std::string> names);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_FLAG_VALUES_H_
