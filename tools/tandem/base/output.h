// What commands print alike: JSON objects, tables, names of enum values, rates.
// Functions are pure; any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_OUTPUT_H_
#define TANDEM_TOOLS_TANDEM_BASE_OUTPUT_H_

#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"
#include "tandem/v1/generation.pb.h"

namespace tandem::cli {

// Keys keep the order in which they were set.
using Json = nlohmann::ordered_json;

// `value` on one line. Bytes that are not UTF-8 (a file's, never the service's)
// are printed as U+FFFD.
void PrintJson(const Json& value, std::ostream* out);

// The first row has the titles; all rows have as many cells. Columns are as
// wide as their widest cell and two spaces apart.
void PrintTable(const std::vector<std::vector<std::string>>& rows,
                std::ostream* out);

// A report as text, under the names of the object: a member a line, or a table
// where the member holds objects, which then have the same members each.
void PrintReport(const Json& report, std::ostream* out);

// The members of `keys` of each of the objects, as a report's table.
Json Columns(const Json& objects, std::initializer_list<const char*> keys);

// A text as it is, a number with at most six digits that count; "-" for null.
std::string Shown(const Json& value);
// An object of such values on one line: "ended 9, cut 0, failed 0".
std::string OneLine(const Json& values);

// "serving" of the enum's value WORKER_STATE_SERVING under the prefix
// "WORKER_STATE_"; "state_7" where `name` is empty, as that of a value of a
// later version is.
std::string EnumWord(absl::string_view name, absl::string_view prefix,
                     absl::string_view kind, int value);
// "stop_token", "length", ...; "reason_77" for one of a later version.
std::string FinishReasonName(v1::FinishReason reason);

// The stats' fields but for no_draft_reason, and acceptance_rate.
Json SpeculationJson(const v1::SpeculationStats& stats);

// 0 where nothing was drafted.
double AcceptanceRate(const v1::SpeculationStats& stats);

// part / whole; 0 where `whole` is 0: JSON has no NaN.
double Ratio(double part, double whole);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_OUTPUT_H_
