// Options and tokens on the wire: engine values <-> protobuf. Pure functions;
// any thread.

#ifndef TANDEM_SERVICES_COMMON_OPTIONS_CONVERSION_H_
#define TANDEM_SERVICES_COMMON_OPTIONS_CONVERSION_H_

#include "absl/status/statusor.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "tandem/v1/types.pb.h"

namespace tandem {

// Fields that are not set get GenOptions' defaults. Nothing is checked: an enum
// value that is not known is its default.
GenOptions FromProto(const v1::GenerationOptions& options);
// The same for options from outside: INVALID_ARGUMENT with INVALID_OPTIONS for
// what ValidateGenOptions refuses and for enum values that are not known.
absl::StatusOr<GenOptions> ParseGenOptions(const v1::GenerationOptions& options,
                                           int vocab_size);
// Every field is set, but seed, logprobs, response_format and draft_length only
// where they have a value.
v1::GenerationOptions ToProto(const GenOptions& options);

// The log-probabilities of a sampled token, and the token made of its two
// parts on the wire.
v1::PositionLogprobs LogprobsToProto(const SampledToken& token);
SampledToken SampledTokenFromProto(TokenId id,
                                   const v1::PositionLogprobs& logprobs);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_OPTIONS_CONVERSION_H_
