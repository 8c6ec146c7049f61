// tandem bench serve: load against a running service.

#ifndef TANDEM_TOOLS_TANDEM_BENCH_SERVE_H_
#define TANDEM_TOOLS_TANDEM_BENCH_SERVE_H_

#include "CLI/App.hpp"
#include "tools/tandem/command_line.h"

namespace tandem::cli {

// Adds itself to `app`, the bench command; `line` outlives it.
void AddBenchServeCommand(CLI::App* app, CommandLine* line);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BENCH_SERVE_H_
