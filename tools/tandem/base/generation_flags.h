// The flags of a generation: one for every field of GenerationOptions but
// response_format (response_format_flags.h), read into the options themselves.
// What is not given is left to the service.

#ifndef TANDEM_TOOLS_TANDEM_BASE_GENERATION_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_BASE_GENERATION_FLAGS_H_

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "tandem/v1/types.pb.h"

namespace tandem::cli {

// In all of them `options` outlives `command`; a scalar flag given twice: the
// last one holds.
void AddGenerationFlags(CLI::App* command, v1::GenerationOptions* options);
// Two parts of them that other commands have too: --temperature, --top-p and
// --top-k; --draft-length, --draft-length-max and --draft-sources.
void AddSamplingFlags(CLI::App* command, v1::GenerationOptions* options);
void AddDraftFlags(CLI::App* command, v1::GenerationOptions* options);
// --choice-index, which is of single turns: not of a conversation.
void AddChoiceFlag(CLI::App* command, v1::GenerationOptions* options);

// A usage error that names each flag whose value the service does not allow.
absl::Status CheckGenerationOptions(const v1::GenerationOptions& options);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_GENERATION_FLAGS_H_
