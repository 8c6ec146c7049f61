// tandem status: how a coordinator and its workers are, once or each second.

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/process_exit.h"
#include "services/common/server_flags.h"
#include "services/common/signals.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/terminal.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/status_text.h"

namespace tandem::cli {
namespace {

constexpr absl::Duration kRefresh = absl::Seconds(1);
// Of text that no terminal shows: it is not broken.
constexpr int kColumnsMax = 1 << 20;

struct StatusFlags {
  bool json = false;
  bool once = false;
};

// Without the last column, see ScreenOf.
ScreenSize SizeOfTerminal() {
  ScreenSize size = TerminalSize(STDOUT_FILENO);
  --size.columns;
  return size;
}

void PrintLines(const std::vector<std::string>& lines, std::ostream* out) {
  for (const std::string& line : lines) *out << line << "\n";
}

// The screen, which one thread renews, and the signal's thread leaves for good.
class LiveScreen {
 public:
  explicit LiveScreen(std::ostream* out) : out_(out) {
    // What stands on the terminal moves up and stays in its history.
    *out_ << std::string(static_cast<size_t>(SizeOfTerminal().rows), '\n');
  }

  void Show(const std::vector<std::string>& lines) {
    const absl::MutexLock lock(&mutex_);
    *out_ << ScreenOf(lines, SizeOfTerminal()) << std::flush;
  }
  // The last state stays, and the shell's prompt comes below it. The terminal
  // was changed in no other way, so there is nothing to put back.
  [[noreturn]] void End() {
    const absl::MutexLock lock(&mutex_);
    *out_ << "\n";
    EndProcess(kExitOk);
  }

 private:
  std::ostream* const out_;
  absl::Mutex mutex_;
};

// An answer that did not come may come later: the coordinator may be restarted.
bool MayComeBack(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

// Renews the screen until Ctrl-C ends the process, also within a call that is
// not answered.
absl::Status Watch(const ConnectionFlags& connection, std::ostream* out) {
  std::unique_ptr<LiveScreen> screen;
  absl::Mutex mutex;  // while `screen` is made
  SignalWatcher watcher({.on_first =
                             [&] {
                               const absl::MutexLock lock(&mutex);
                               if (screen == nullptr) EndProcess(kExitOk);
                               screen->End();
                             },
                         .second_exit_code = kExitInterrupted});
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  std::optional<v1::GetStatusResponse> last;
  absl::Time last_at;
  std::vector<std::string> lines;
  while (true) {
    const absl::StatusOr<v1::GetStatusResponse> status = client->GetStatus();
    const absl::Time now = MonotonicNow();
    if (!status.ok() && (!last.has_value() || !MayComeBack(status.status()))) {
      return status.status();
    }
    const int columns = SizeOfTerminal().columns;
    if (status.ok()) {
      const StatusChange change = last.has_value()
                                      ? ChangeOf(*last, *status, now - last_at)
                                      : StatusChange();
      lines = StatusLines(*status, change, columns);
      last = *status;
      last_at = now;
    }
    std::vector<std::string> shown;
    if (!status.ok()) {
      shown = WrapLine(
          absl::StrCat("no answer for ", absl::ToInt64Seconds(now - last_at),
                       " s: ", status.status().message()),
          columns);
      shown.push_back("");
    }
    shown.insert(shown.end(), lines.begin(), lines.end());
    if (screen == nullptr) {
      const absl::MutexLock lock(&mutex);
      screen = std::make_unique<LiveScreen>(out);
    }
    screen->Show(shown);
    absl::SleepFor(kRefresh);  // a signal ends the process
  }
}

absl::Status RunStatus(const StatusFlags& flags,
                       const ConnectionFlags& connection, const Io& io) {
  if (io.out_is_terminal && !flags.once && !flags.json && MovesCursor()) {
    return Watch(connection, io.out);
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::GetStatusResponse status,
                          client->GetStatus());
  if (flags.json) {
    PrintJson(StatusJson(status), io.out);
  } else {
    PrintLines(StatusLines(
                   status, StatusChange(),
                   io.out_is_terminal ? SizeOfTerminal().columns : kColumnsMax),
               io.out);
  }
  return absl::OkStatus();
}

}  // namespace

void AddStatusCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<StatusFlags>();
  CLI::App* command = app->add_subcommand(
      "status",
      "Shows a coordinator's workers, turns and tokens; on a terminal renewed "
      "each second until Ctrl-C.");
  command->add_flag("--json", flags->json,
                    "Prints an object with workers and counts, once");
  command->add_flag("--once", flags->once, "Prints once on a terminal too");
  SetExamples(command, {"tandem status", "tandem status --once",
                        "tandem status --json --coordinator unix:/tmp/c.sock"});
  RunWhenChosen(command, flags, RunStatus, line);
}

}  // namespace tandem::cli
