// tandem bench serve: load against a running service. Its flags, and the
// command.

#ifndef TANDEM_TOOLS_LOAD_SERVE_H_
#define TANDEM_TOOLS_LOAD_SERVE_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "tandem/v1/generation.pb.h"
#include "tools/load/sweep.h"
#include "tools/load/turn_source.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/response_format_flags.h"

namespace tandem::load {

struct ServeFlags {
  LoadOptions load;
  SweepOptions sweep = {.lengths = {}, .rounds = 3};  // no lengths: one run
  v1::TurnRequest common;  // of all turns: the model and options
  cli::ResponseFormatFlags response_format;
  bool greedy = false;
  bool stop_at_eos = false;
  std::string openai;
  int vocab = 0;  // 0: what the coordinator reports
  int connections = 4;
  bool json = false;
  std::string progress = "auto";
};

// serve_flags.cc. `flags` outlives `command`.
void AddServeFlags(CLI::App* command, ServeFlags* flags);
// The flags with defaults that depend on others put in, and the reply's format
// read into `common`. Usage errors: flags that do not go together, and a format
// that can not be read.
absl::StatusOr<ServeFlags> CheckServeFlags(ServeFlags flags, const cli::Io& io);

// Adds itself to `app`, the bench command; `line` outlives it.
void AddServeCommand(CLI::App* app, cli::CommandLine* line);

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_SERVE_H_
