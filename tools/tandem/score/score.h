// tandem score: how probable continuations of a prompt are.

#ifndef TANDEM_TOOLS_TANDEM_SCORE_SCORE_H_
#define TANDEM_TOOLS_TANDEM_SCORE_SCORE_H_

#include "CLI/App.hpp"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// Adds itself to `app`; `line` outlives it.
void AddScoreCommand(CLI::App* app, CommandLine* line);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_SCORE_SCORE_H_
