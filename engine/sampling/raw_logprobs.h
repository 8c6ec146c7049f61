// What one row of raw logits says: whether its numbers are sound, which token
// is the most probable, and log-probabilities, for the tokens that a turn
// chooses and for those that are scored alike. Pure functions; any thread.

#ifndef TANDEM_ENGINE_SAMPLING_RAW_LOGPROBS_H_
#define TANDEM_ENGINE_SAMPLING_RAW_LOGPROBS_H_

#include <cstddef>
#include <limits>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/logits_processor.h"

namespace tandem {

// Rows are read in blocks, which the compiler turns into vector code (16 floats
// it unrolls into scalar code instead: 12 us for 32,000 logits, not 5).
inline constexpr size_t kLogitsBlock = 64;

struct RowSummary {
  float highest = -std::numeric_limits<float>::infinity();
  bool corrupt = false;  // a NaN or +infinity is there
};
RowSummary Summarise(absl::Span<const float> logits);

// INTERNAL with NUMERIC_CORRUPTION, of a row that is corrupt; names the id.
absl::Status CorruptionError(absl::Span<const float> logits);

// Log-probabilities of a row that is not corrupt and outlives this.
class RawLogprobs {
 public:
  explicit RawLogprobs(absl::Span<const float> logits);

  // Natural log, of a token with this logit.
  float Of(float logit) const;
  // The `count` highest, ties to the lower id; tokens of probability 0 are left
  // out.
  std::vector<TokenLogprob> Highest(int count) const;

 private:
  absl::Span<const float> logits_;
  double max_;
  double log_sum_;
};

// A token that stands in a text, as its row has it.
struct ScoredToken {
  SampledToken token;
  // No token is more probable, and none with a lower id as probable.
  bool is_greedy = false;

  friend bool operator==(const ScoredToken&, const ScoredToken&) = default;
};

// `id`, which is in the vocabulary, by the logits [vocab_size] of its position,
// with `alternatives` >= 0 of the highest. Equal to what Sample gives with
// log-probabilities where it chooses this token. Errors: INTERNAL with
// NUMERIC_CORRUPTION where a logit is NaN or +infinity, or all are -infinity.
absl::StatusOr<ScoredToken> ScoreToken(absl::Span<const float> logits,
                                       TokenId id, int alternatives);

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_RAW_LOGPROBS_H_
