// The flags of a generation: one for every field of GenerationOptions.

#ifndef TANDEM_TOOLS_TANDEM_GENERATION_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_GENERATION_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "tandem/v1/types.pb.h"

namespace tandem::cli {

// As given; what is absent is left to the service.
struct GenerationFlags {
  std::optional<int32_t> max_tokens = {};
  std::optional<float> temperature = {};
  std::optional<float> top_p = {};
  std::optional<int32_t> top_k = {};
  std::optional<float> min_p = {};
  std::optional<float> repetition_penalty = {};
  std::optional<float> presence_penalty = {};
  std::optional<float> frequency_penalty = {};
  std::vector<std::string> logit_bias = {};  // "ID=BIAS"
  std::optional<uint64_t> seed = {};
  std::vector<int32_t> stop_token_ids = {};
  std::vector<std::string> stop_strings = {};
  bool ignore_eos = false;
  std::optional<int32_t> logprobs = {};
  std::optional<std::string> draft_length = {};  // "auto" or a number
  std::optional<int32_t> draft_length_max = {};
  std::optional<std::string> draft_sources = {};  // "any", "model", "lookup"
};

// The values of three flags that other commands have too.
CLI::Validator TemperatureValue();
CLI::Validator TopPValue();
CLI::Validator TopKValue();

// `flags` outlives `command`. A scalar flag given twice: the last one holds.
void AddGenerationFlags(CLI::App* command, GenerationFlags* flags);

// The options as a request has them; a usage error names each flag that is out
// of the range that the service allows.
absl::StatusOr<v1::GenerationOptions> ToGenerationOptions(
    const GenerationFlags& flags);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_GENERATION_FLAGS_H_
