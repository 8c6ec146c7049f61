// The command line of tandem: one subcommand per file, wired by
// RunCommandLine. Nothing here is shared between threads.

#ifndef TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_
#define TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_

#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/credentials.h"

namespace tandem::cli {

// What a process may end with beside kExitOk, kExitFailed and kExitUsage: as a
// shell shows SIGINT.
inline constexpr int kExitInterrupted = 130;

// Where a command reads and writes; tests put strings there.
struct Io {
  std::istream* in = nullptr;
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  bool err_is_terminal = false;  // somebody reads it as it comes
};

// Flags that stand before the subcommand's own.
struct ConnectionFlags {
  std::string coordinator = "127.0.0.1:7070";
  ChannelTlsFiles tls = {};
  bool http_proxy = false;  // go through the proxy of the environment
};

// A parsed command line: the chosen subcommand sets `run`.
struct CommandLine {
  ConnectionFlags connection;
  std::function<absl::Status(const Io&)> run;
};

// The wrong use of a flag: RunCommandLine ends with kExitUsage.
absl::Status UsageError(absl::string_view message);
// The turn was ended by Ctrl-C: kExitInterrupted, without a message.
absl::Status InterruptedError();

// `status` as one line: what a user reads after "tandem: ".
std::string OneLine(const absl::Status& status);

// The subcommands. Each adds itself to `app`; `line` outlives it.
void AddRunCommand(CLI::App* app, CommandLine* line);
void AddGenerateCommand(CLI::App* app, CommandLine* line);
void AddTokenizeCommand(CLI::App* app, CommandLine* line);
void AddDetokenizeCommand(CLI::App* app, CommandLine* line);
void AddModelsCommand(CLI::App* app, CommandLine* line);
void AddInspectCommand(CLI::App* app, CommandLine* line);
void AddQuantizeCommand(CLI::App* app, CommandLine* line);
void AddHealthCommand(CLI::App* app, CommandLine* line);
void AddBenchCommand(CLI::App* app, CommandLine* line);
void AddAdminCommand(CLI::App* app, CommandLine* line);

// Parses `arguments` (without the program's name) into `line`, whose `run` is
// set then. Else the exit code: help, the version or an error was printed.
std::optional<int> ParseCommandLine(const std::vector<std::string>& arguments,
                                    const Io& io, CommandLine* line);

// Parses, runs, prints an error as one line on io.err; the exit code.
int RunCommandLine(int argc, const char* const* argv, const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_
