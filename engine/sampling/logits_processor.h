// Chooses the token of one position from its logits. One per sequence, one
// thread at a time. Holds the token history that the penalties need; nothing
// else is state, so the choice is a pure function of (options, history,
// logits): rolled back by Truncate, the same again.
//
// Order of processing: logit bias; repetition penalty; presence and frequency
// penalties; temperature; top-k; top-p; min-p; then the argmax of
// (processed logit + GumbelNoise(seed, position, token)). Candidates are
// ordered by (logit descending, id ascending); probabilities are summed in
// that order, in double. At least one token stays.

#ifndef TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_
#define TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"

namespace tandem {

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0;  // natural log, of the raw logits

  friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

// A chosen token. `logprob` and `alternatives` (descending, ties to the lower
// id) are filled where the options ask for log-probabilities.
struct SampledToken {
  TokenId id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> alternatives;

  friend bool operator==(const SampledToken&, const SampledToken&) = default;
};

class LogitsProcessor {
 public:
  // `options` are valid for vocab_size and have a seed (absent counts as 0).
  // `history`: all tokens of the session so far; the turn's generated tokens
  // begin at index `generated_from` <= history.size() (the turn's own tokens
  // generated before a restart may be in it).
  LogitsProcessor(const GenOptions& options, int vocab_size,
                  absl::Span<const TokenId> history, Position generated_from);

  // Tokens in the history = the position that Sample chooses for.
  Position length() const { return static_cast<Position>(history_.size()); }

  void Append(TokenId token);
  // Cuts the history to `length` tokens.
  void Truncate(Position length);

  // The token at position length(), from its raw logits [vocab_size], which
  // are overwritten. Does not append it. Errors: INTERNAL with
  // NUMERIC_CORRUPTION where a logit is NaN (the message names the id), or
  // FAILED_PRECONDITION with NO_TOKEN where every token is banned.
  absl::StatusOr<SampledToken> Sample(absl::Span<float> logits);

 private:
  struct Count {
    int32_t session = 0;    // in the whole history
    int32_t generated = 0;  // of those, generated in this turn
  };
  struct Candidate {
    float logit;
    TokenId id;
  };

  GenOptions options_;
  std::vector<TokenId> history_;
  Position generated_from_;
  std::vector<Count> counts_;  // [vocab_size]
  std::vector<Candidate> candidates_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_
