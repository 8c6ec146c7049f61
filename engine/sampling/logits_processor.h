// Chooses the token of one position from its logits. One per sequence, one
// thread at a time. Holds the token history that the penalties need; nothing
// else is state, so the choice is a pure function of (options, history,
// logits): rolled back by Truncate, the same again.
//
// Order of processing: the turn's constraint (its grammar and min_tokens);
// logit bias; repetition penalty; presence and frequency
// penalties; temperature; top-k; top-p; min-p; then the argmax of
// (processed logit + GumbelNoise(seed and choice, position, token)). Candidates
// are ordered by (logit descending, id ascending); probabilities are summed in
// that order, in double. At least one token stays. README.md has the details.

#ifndef TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_
#define TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/token_constraint.h"

namespace tandem {

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0;  // natural log, of the raw logits

  friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

// A chosen token. `logprob` and `alternatives` (descending, ties to the lower
// id; tokens of probability 0 are left out) are filled where the options ask
// for log-probabilities.
struct SampledToken {
  TokenId id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> alternatives = {};

  friend bool operator==(const SampledToken&, const SampledToken&) = default;
};

class LogitsProcessor {
 public:
  // `options` are valid for vocab_size and have a seed (absent counts as 0).
  // `history`: all tokens of the session so far; the turn's generated tokens
  // begin at index `generated_from` <= history.size() (the turn's own tokens
  // generated before a restart may be in it). `constraint` has none of them
  // yet.
  LogitsProcessor(const GenOptions& options, int vocab_size,
                  absl::Span<const TokenId> history, Position generated_from,
                  TokenConstraint constraint = {});

  // Tokens in the history = the position that Sample chooses for.
  Position length() const { return static_cast<Position>(history_.size()); }

  void Append(TokenId token);
  // Cuts the history to `length` tokens.
  void Truncate(Position length);
  // The turn's grammar allows nothing more.
  bool is_over() const { return constraint_.is_over(); }

  // The token at position length(), from its raw logits [vocab_size], which
  // are overwritten. Does not append it. Errors: INTERNAL with
  // NUMERIC_CORRUPTION where a logit is NaN or +infinity (the message names
  // the id), or FAILED_PRECONDITION with NO_TOKEN where every token is banned
  // (logit or bias -infinity, or by the constraint), or as
  // TokenConstraint::Apply.
  absl::StatusOr<SampledToken> Sample(absl::Span<float> logits);

 private:
  struct Count {
    int32_t session = 0;    // in the whole history
    int32_t generated = 0;  // of those, generated in this turn
  };
  // A token whose logit a bias or penalty changes.
  struct Adjusted {
    TokenId id;
    float raw;
    double logit;
  };
  // Logits are double from here on: a penalty or temperature that is a tiny
  // float gives quotients beyond float, never beyond double.
  struct Candidate {
    double logit;
    TokenId id;
  };

  static bool Before(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }

  // Bans what the constraint does not allow, keeps what the log-probabilities
  // are made of, and corrects the row's highest logit.
  absl::Status Constrain(absl::Span<float> logits, float* highest);
  // Fills adjusted_ and sets those logits to -infinity.
  void SetAsideAdjusted(absl::Span<float> logits);
  double Penalised(TokenId id, double logit) const;
  // The candidate that stands first in the order; id -1 where none does.
  // `highest`: of the logits before adjusted ones were set aside.
  Candidate First(absl::Span<const float> logits, float highest) const;
  // Candidates at or above `floor`, unordered.
  void SelectFrom(absl::Span<const float> logits, double floor);
  // The options_.top_k first candidates at or above `floor`, unordered.
  void SelectTopK(absl::Span<const float> logits, double floor);
  void OfferTopK(Candidate candidate);
  // Candidates whose probabilities sum to top_p, of all tokens.
  void SelectTopP(absl::Span<const float> logits, double logit_max);
  // Cuts candidates_ to the first whose probabilities sum to top_p.
  void CutTopP(double logit_max);
  enum class Cut {
    kDone,
    kTooFew,    // the cut lies below all of candidates_
    kTooClose,  // the sum is within the band of the wanted one: not known
  };
  // The same where `total` is within `band` / 2 of the sum of all weights in
  // candidate order, and candidates_ are the first of all.
  Cut CutWhereSure(double logit_max, double total, double band);
  // The same by the sum in candidate order over all of candidates_.
  size_t CountTopPExactly(double logit_max);
  double Weight(double logit, double logit_max) const;
  TokenId Choose(absl::Span<const float> logits, const Candidate& first);

  GenOptions options_;
  double temperature_;
  bool penalises_;
  std::vector<TokenId> history_;
  Position generated_from_;
  TokenConstraint constraint_;
  std::vector<float> raw_;  // the row before it was constrained
  absl::flat_hash_map<TokenId, Count> counts_;  // kept where penalises_
  absl::flat_hash_map<TokenId, float> bias_;
  std::vector<Adjusted> adjusted_;
  std::vector<Candidate> candidates_;
  size_t candidates_max_ = 0;  // where SelectTopK cuts candidates_ to top_k
  double top_k_floor_ = 0;     // logits below can not be among the top k
  float top_k_row_floor_ = 0;  // the same, not above it
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_LOGITS_PROCESSOR_H_
