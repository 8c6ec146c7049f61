// The command line of tandem: one subcommand per file, wired by
// RunCommandLine. Nothing here is shared between threads.

#ifndef TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_
#define TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// The subcommands. Each adds itself to `app`; `line` outlives it.
void AddUpCommand(CLI::App* app, CommandLine* line);
void AddRunCommand(CLI::App* app, CommandLine* line);
void AddChatCommand(CLI::App* app, CommandLine* line);
void AddGenerateCommand(CLI::App* app, CommandLine* line);
void AddTokenizeCommand(CLI::App* app, CommandLine* line);
void AddDetokenizeCommand(CLI::App* app, CommandLine* line);
void AddModelsCommand(CLI::App* app, CommandLine* line);
void AddStatusCommand(CLI::App* app, CommandLine* line);
void AddSessionsCommand(CLI::App* app, CommandLine* line);
void AddInspectCommand(CLI::App* app, CommandLine* line);
void AddQuantizeCommand(CLI::App* app, CommandLine* line);
void AddHealthCommand(CLI::App* app, CommandLine* line);
void AddBenchCommand(CLI::App* app, CommandLine* line);
void AddAdminCommand(CLI::App* app, CommandLine* line);
void AddKeysCommand(CLI::App* app, CommandLine* line);
// `app` has all other commands by the time that it is parsed.
void AddCompletionCommand(CLI::App* app, CommandLine* line);

// Parses `arguments` (without the program's name) into `line`, whose `run` is
// set then. Else the exit code: help, the version or an error was printed.
std::optional<int> ParseCommandLine(const std::vector<std::string>& arguments,
                                    const Io& io, CommandLine* line);

// Parses, runs, prints an error as one line on io.err; the exit code.
int RunCommandLine(int argc, const char* const* argv, const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_COMMAND_LINE_H_
