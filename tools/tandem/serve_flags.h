// The flags of `tandem bench serve`, and what they ask for.

#ifndef TANDEM_TOOLS_TANDEM_SERVE_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_SERVE_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "tools/load/completion_events.h"
#include "tools/load/load_options.h"
#include "tools/load/sweep.h"
#include "tools/load/tandem_target.h"

namespace tandem::cli {

// As given.
struct ServeFlags {
  load::LoadOptions load;
  double duration_s = 0;
  double warmup_s = 0;
  int64_t think_ms = 0;
  std::string prompt_tokens = "64";
  std::string output_tokens = "64";
  std::optional<float> temperature = {};
  std::optional<float> top_p = {};
  std::optional<int> top_k = {};
  bool greedy = false;
  bool stop_at_eos = false;
  std::optional<std::string> draft_length = {};
  std::optional<std::string> draft_sources = {};
  std::string sweep;
  int rounds = 3;
  std::string openai;
  std::string call = "converse";
  std::string model;
  int vocab = 0;
  int connections = 4;
  bool json = false;
  std::string progress = "auto";
};

// What they come to.
struct ServePlan {
  load::LoadOptions load;
  load::SweepOptions sweep;  // no lengths: one run
  load::TandemCall call = load::TandemCall::kConverse;
  v1::GenerationOptions generation;    // tandem
  load::CompletionOptions completion;  // OpenAI-compatible servers
};

// `flags` outlives `command`.
void AddServeFlags(CLI::App* command, ServeFlags* flags);

// Usage errors: values out of range, and flags that do not go together.
absl::StatusOr<ServePlan> PlanOf(const ServeFlags& flags);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_SERVE_FLAGS_H_
