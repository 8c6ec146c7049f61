#include "tools/tandem/status_text.h"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tools/tandem/base/output.h"

namespace tandem::cli {
namespace {

std::string RoleOf(const v1::WorkerStatus& worker) {
  return EnumWord(v1::PoolRole_Name(worker.role()), "POOL_ROLE_", "role",
                  worker.role());
}

std::string StateOf(const v1::WorkerStatus& worker) {
  return EnumWord(v1::WorkerState_Name(worker.state()), "WORKER_STATE_",
                  "state", worker.state());
}

bool Serves(const v1::WorkerStatus& worker) {
  return worker.state() == v1::WORKER_STATE_SERVING;
}

double Percent(int64_t part, int64_t whole) {
  return 100 * Ratio(static_cast<double>(part), static_cast<double>(whole));
}

// "3 d 4 h", "2 h 5 min", "12 min 3 s", "7 s".
std::string Uptime(int64_t seconds) {
  struct Unit {
    int64_t seconds;
    const char* name;
  };
  constexpr Unit kUnits[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
  std::vector<std::string> parts;
  for (const Unit& unit : kUnits) {
    const int64_t count = seconds / unit.seconds;
    seconds %= unit.seconds;
    if (count == 0 && parts.empty() && unit.seconds > 1) continue;
    parts.push_back(absl::StrCat(count, " ", unit.name));
    if (parts.size() == 2) break;
  }
  return absl::StrCat(parts[0], parts.size() > 1 ? " " : "",
                      parts.size() > 1 ? parts[1] : "");
}

// "1 turn", "2 turns".
std::string Count(int64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string Drafts(int64_t drafted, int64_t accepted) {
  if (drafted == 0) return "no draft token";
  return absl::StrFormat("%.1f%% of %s accepted", Percent(accepted, drafted),
                         Count(drafted, "draft token"));
}

std::vector<std::string> SummaryLines(const v1::GetStatusResponse& status,
                                      const StatusChange& change) {
  std::vector<std::string> lines;
  lines.push_back(absl::StrCat(
      "tandem ", status.version(), ", up ", Uptime(status.uptime_seconds()),
      status.draining() ? ", draining: it takes no new turns" : ""));
  lines.push_back(absl::StrCat(Count(status.turns(), "turn"), " running, ",
                               Count(status.sessions(), "session"), " kept"));
  lines.push_back(absl::StrCat(
      "since the start: ", Count(status.generated_tokens(), "token"), ", ",
      Drafts(status.drafted_tokens(), status.accepted_tokens())));
  if (change.time > absl::ZeroDuration()) {
    const double rate = static_cast<double>(change.generated_tokens) /
                        absl::ToDoubleSeconds(change.time);
    lines.push_back(
        absl::StrFormat("now: %.1f tokens/s, %s", rate,
                        Drafts(change.drafted_tokens, change.accepted_tokens)));
  }
  return lines;
}

std::string ProblemOf(const v1::WorkerStatus& worker) {
  return absl::StrCat(RoleOf(worker), " worker ", worker.address(), " is ",
                      StateOf(worker), worker.reason().empty() ? "" : ": ",
                      worker.reason());
}

std::string KvUsed(const v1::WorkerStatus& worker) {
  if (worker.kv_tokens() == 0) return "-";
  return absl::StrFormat("%.0f%%",
                         Percent(worker.kv_tokens() - worker.kv_tokens_free(),
                                 worker.kv_tokens()));
}

std::string Pass(const v1::WorkerStatus& worker) {
  if (worker.pass_us() == 0) return "-";
  return absl::StrFormat("%.1f ms",
                         static_cast<double>(worker.pass_us()) / 1e3);
}

std::string ModelOf(const v1::WorkerStatus& worker) {
  return worker.model_id().empty() ? "-" : worker.model_id();
}

std::vector<std::string> TableOf(
    const std::vector<const v1::WorkerStatus*>& workers, bool are_targets) {
  std::vector<std::vector<std::string>> rows = {
      {"state", "address", "model", "open", "waiting", "KV used", "pass"}};
  if (are_targets) rows[0].push_back("draft length");
  for (const v1::WorkerStatus* worker : workers) {
    rows.push_back({StateOf(*worker), worker->address(), ModelOf(*worker),
                    absl::StrCat(worker->streams_open()),
                    absl::StrCat(worker->streams_waiting()), KvUsed(*worker),
                    Pass(*worker)});
    if (are_targets)
      rows.back().push_back(absl::StrCat(worker->draft_length()));
  }
  std::ostringstream text;
  PrintTable(rows, &text);
  std::vector<std::string> lines = absl::StrSplit(text.str(), '\n');
  lines.pop_back();  // behind the last newline
  return lines;
}

// The same of one worker, where a table is too wide.
std::string FiguresOf(const v1::WorkerStatus& worker, bool is_target) {
  return absl::StrCat(
      "  ", ModelOf(worker), ", ", worker.streams_open(), " open, ",
      worker.streams_waiting(), " waiting, KV ", KvUsed(worker), ", pass ",
      Pass(worker),
      is_target ? absl::StrCat(", draft length ", worker.draft_length()) : "");
}

bool Fits(const std::vector<std::string>& lines, int columns) {
  return std::all_of(lines.begin(), lines.end(),
                     [columns](const std::string& line) {
                       return DisplayColumns(line) <= columns;
                     });
}

void AddWrapped(const std::string& line, int columns,
                std::vector<std::string>* lines) {
  std::vector<std::string> wrapped = WrapLine(line, columns);
  std::move(wrapped.begin(), wrapped.end(), std::back_inserter(*lines));
}

void AddPool(const v1::GetStatusResponse& status, v1::PoolRole role,
             int columns, std::vector<std::string>* lines) {
  const bool are_targets = role == v1::POOL_ROLE_TARGET;
  std::vector<const v1::WorkerStatus*> workers;
  int serving = 0;
  for (const v1::WorkerStatus& worker : status.workers()) {
    if (worker.role() != role) continue;
    workers.push_back(&worker);
    serving += Serves(worker) ? 1 : 0;
  }
  lines->push_back("");
  const std::string what = are_targets ? "target" : "draft worker";
  if (workers.empty()) {
    lines->push_back(absl::StrCat("no ", what));
    return;
  }
  AddWrapped(absl::StrCat(Count(static_cast<int64_t>(workers.size()), what),
                          ", ", serving, " serving"),
             columns, lines);
  std::vector<std::string> table = TableOf(workers, are_targets);
  if (Fits(table, columns)) {
    std::move(table.begin(), table.end(), std::back_inserter(*lines));
    return;
  }
  for (const v1::WorkerStatus* worker : workers) {
    AddWrapped(absl::StrCat(StateOf(*worker), " ", worker->address()), columns,
               lines);
    AddWrapped(FiguresOf(*worker, are_targets), columns, lines);
  }
}

}  // namespace

Json StatusJson(const v1::GetStatusResponse& status) {
  Json workers = Json::array();
  for (const v1::WorkerStatus& worker : status.workers()) {
    workers.push_back({{"address", worker.address()},
                       {"role", RoleOf(worker)},
                       {"state", StateOf(worker)},
                       {"reason", worker.reason()},
                       {"model_id", worker.model_id()},
                       {"fingerprint", worker.fingerprint()},
                       {"numerics", worker.numerics()},
                       {"streams_open", worker.streams_open()},
                       {"streams_waiting", worker.streams_waiting()},
                       {"kv_tokens_free", worker.kv_tokens_free()},
                       {"kv_tokens", worker.kv_tokens()},
                       {"pass_us", worker.pass_us()},
                       {"draft_length", worker.draft_length()}});
  }
  return {
      {"version", status.version()},
      {"uptime_seconds", status.uptime_seconds()},
      {"draining", status.draining()},
      {"sessions", status.sessions()},
      {"turns", status.turns()},
      {"generated_tokens", status.generated_tokens()},
      {"drafted_tokens", status.drafted_tokens()},
      {"accepted_tokens", status.accepted_tokens()},
      {"acceptance_rate", Ratio(static_cast<double>(status.accepted_tokens()),
                                static_cast<double>(status.drafted_tokens()))},
      {"workers", workers}};
}

StatusChange ChangeOf(const v1::GetStatusResponse& before,
                      const v1::GetStatusResponse& now, absl::Duration time) {
  if (now.generated_tokens() < before.generated_tokens() ||
      now.uptime_seconds() < before.uptime_seconds()) {
    return {};
  }
  return {
      .time = time,
      .generated_tokens = now.generated_tokens() - before.generated_tokens(),
      .drafted_tokens = now.drafted_tokens() - before.drafted_tokens(),
      .accepted_tokens = now.accepted_tokens() - before.accepted_tokens()};
}

std::vector<std::string> WrapLine(const std::string& line, int columns) {
  if (line.empty()) return {""};
  std::vector<std::string> lines;
  std::string current;
  for (const absl::string_view word : absl::StrSplit(line, ' ')) {
    // Spaces at the line's beginning are empty words.
    const bool begins = current.find_first_not_of(' ') == std::string::npos;
    if (!begins &&
        DisplayColumns(current) + 1 + DisplayColumns(word) > columns) {
      lines.push_back(std::exchange(current, absl::StrCat("  ", word)));
    } else {
      absl::StrAppend(&current, begins ? "" : " ", word.empty() ? " " : word);
    }
  }
  lines.push_back(current);
  return lines;
}

std::vector<std::string> StatusLines(const v1::GetStatusResponse& status,
                                     const StatusChange& change, int columns) {
  std::vector<std::string> unbroken = SummaryLines(status, change);
  const size_t summary = unbroken.size();
  for (const v1::WorkerStatus& worker : status.workers()) {
    if (Serves(worker)) continue;
    if (unbroken.size() == summary) unbroken.push_back("");
    unbroken.push_back(ProblemOf(worker));
  }
  std::vector<std::string> lines;
  for (const std::string& line : unbroken) AddWrapped(line, columns, &lines);
  AddPool(status, v1::POOL_ROLE_TARGET, columns, &lines);
  AddPool(status, v1::POOL_ROLE_DRAFT, columns, &lines);
  return lines;
}

std::string ScreenOf(const std::vector<std::string>& lines,
                     const ScreenSize& size) {
  const size_t rows = static_cast<size_t>(std::max(1, size.rows));
  std::vector<std::string> shown = lines;
  if (shown.size() > rows) {
    shown.resize(rows);
    shown.back() = absl::StrCat("... ", lines.size() - rows + 1,
                                " more lines: tandem status --once");
  }
  std::string screen = "\x1b[H";
  for (size_t i = 0; i < shown.size(); ++i) {
    absl::StrAppend(&screen, i == 0 ? "" : "\n",
                    CutToColumns(shown[i], size.columns), "\x1b[K");
  }
  return absl::StrCat(screen, "\x1b[J");
}

}  // namespace tandem::cli
