#include "tools/tandem/base/output.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace tandem::cli {
namespace {

// The table of objects; those of an object begin with their names.
std::vector<std::vector<std::string>> RowsOf(const Json& objects) {
  std::vector<std::vector<std::string>> rows(1);
  if (objects.is_object()) rows[0].push_back("");
  for (const auto& [column, cell] : objects.front().items()) {
    rows[0].push_back(column);
  }
  for (const auto& [name, object] : objects.items()) {
    rows.emplace_back();
    if (objects.is_object()) rows.back().push_back(name);
    for (const Json& cell : object) rows.back().push_back(Shown(cell));
  }
  return rows;
}

}  // namespace

void PrintJson(const Json& value, std::ostream* out) {
  *out << value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void PrintTable(const std::vector<std::vector<std::string>>& rows,
                std::ostream* out) {
  std::vector<size_t> widths(rows.front().size());
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i + 1 < row.size(); ++i) {
      *out << absl::StreamFormat("%-*s  ", static_cast<int>(widths[i]), row[i]);
    }
    *out << row.back() << "\n";
  }
}

void PrintReport(const Json& report, std::ostream* out) {
  const char* gap = "";
  for (const auto& [name, value] : report.items()) {
    if (value.is_structured() && value.empty()) continue;
    if (value.is_structured() && value.front().is_object()) {
      *out << gap << name << "\n";
      PrintTable(RowsOf(value), out);
    } else {
      *out << name << ": "
           << (value.is_object() ? OneLine(value) : Shown(value)) << "\n";
    }
    gap = "\n";
  }
}

Json Columns(const Json& objects, std::initializer_list<const char*> keys) {
  Json rows = Json::array();
  for (const Json& object : objects) {
    rows.emplace_back();
    for (const char* key : keys) rows.back()[key] = object[key];
  }
  return rows;
}

std::string Shown(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return absl::StrCat(value.get<double>());
  return value.dump();
}

std::string OneLine(const Json& values) {
  std::string line;
  for (const auto& [name, value] : values.items()) {
    absl::StrAppend(&line, line.empty() ? "" : ", ", name, " ", Shown(value));
  }
  return line;
}

std::string EnumWord(absl::string_view name, absl::string_view prefix,
                     absl::string_view kind, int value) {
  if (name.empty()) return absl::StrCat(kind, "_", value);
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}

std::string FinishReasonName(v1::FinishReason reason) {
  return EnumWord(v1::FinishReason_Name(reason), "FINISH_REASON_", "reason",
                  reason);
}

Json SpeculationJson(const v1::SpeculationStats& stats) {
  return {{"rounds", stats.rounds()},
          {"drafted_tokens", stats.drafted_tokens()},
          {"accepted_tokens", stats.accepted_tokens()},
          {"acceptance_rate", AcceptanceRate(stats)},
          {"draft_us", stats.draft_us()},
          {"verify_us", stats.verify_us()},
          {"rpc_us", stats.rpc_us()},
          {"first_token_us", stats.first_token_us()},
          {"total_us", stats.total_us()},
          {"drafted_by_position", stats.drafted_by_position()},
          {"accepted_by_position", stats.accepted_by_position()},
          {"lookup_drafted_tokens", stats.lookup_drafted_tokens()},
          {"lookup_accepted_tokens", stats.lookup_accepted_tokens()},
          {"wait_us", stats.wait_us()},
          {"late_drafts", stats.late_drafts()},
          {"ahead_asked", stats.ahead_asked()},
          {"ahead_used", stats.ahead_used()},
          {"queue_us", stats.queue_us()}};
}

double AcceptanceRate(const v1::SpeculationStats& stats) {
  return Ratio(static_cast<double>(stats.accepted_tokens()),
               static_cast<double>(stats.drafted_tokens()));
}

double Ratio(double part, double whole) {
  return whole == 0 ? 0 : part / whole;
}

}  // namespace tandem::cli
