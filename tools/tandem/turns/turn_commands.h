// Commands that run turns of a service anew or by the thousands; command_line.h
// has the others. Nothing here is shared between threads.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_TURN_COMMANDS_H_
#define TANDEM_TOOLS_TANDEM_TURNS_TURN_COMMANDS_H_

#include "CLI/App.hpp"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// Each adds itself to `app`; `line` outlives it.
void AddReplayCommand(CLI::App* app, CommandLine* line);
void AddBatchCommand(CLI::App* app, CommandLine* line);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_TURN_COMMANDS_H_
