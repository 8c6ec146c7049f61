// The sampler's definition written down plainly: what LogitsProcessor must
// choose, by sorting the whole vocabulary and one pass per step.

#ifndef TANDEM_TESTS_ENGINE_SAMPLING_REFERENCE_SAMPLER_H_
#define TANDEM_TESTS_ENGINE_SAMPLING_REFERENCE_SAMPLER_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"

namespace tandem {

// Nothing is cut, penalised or random but the noise; seed 7.
GenOptions PlainOptions();

struct ScoredToken {
  double logit;
  TokenId id;
};

// What the processing must keep, in candidate order.
std::vector<ScoredToken> ReferenceKept(const GenOptions& options,
                                       absl::Span<const TokenId> history,
                                       Position generated_from,
                                       absl::Span<const float> logits);

// The token at position history.size().
TokenId ReferenceSample(const GenOptions& options,
                        absl::Span<const TokenId> history,
                        Position generated_from,
                        absl::Span<const float> logits);

// The same by a new LogitsProcessor, which must not fail.
TokenId SampleId(const GenOptions& options, absl::Span<const TokenId> history,
                 Position generated_from, std::vector<float> logits);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SAMPLING_REFERENCE_SAMPLER_H_
