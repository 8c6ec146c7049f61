// Which tokens a turn may have next: those that go on with a text of its
// grammar, and those that end it, where it may end. A function of the setup and
// of the turn's tokens alone, so drafter, target and coordinator agree. One per
// sequence or turn; one thread at a time.

#ifndef TANDEM_ENGINE_SAMPLING_TOKEN_CONSTRAINT_H_
#define TANDEM_ENGINE_SAMPLING_TOKEN_CONSTRAINT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/grammar/automaton/grammar_matcher.h"
#include "engine/grammar/automaton/token_masks.h"

namespace tandem {

struct ConstraintSetup {
  // Null: the turn has no grammar.
  std::shared_ptr<const TokenMasks> masks = {};
  // Ids that end the turn. They are no part of its text.
  std::vector<TokenId> stop_tokens = {};
  // As GenOptions::min_tokens.
  int32_t min_tokens = 0;
};

class TokenConstraint {
 public:
  // Everything is allowed.
  TokenConstraint() = default;
  explicit TokenConstraint(ConstraintSetup setup);

  bool has_grammar() const { return matcher_.has_value(); }
  // Whether Apply may ban a token here.
  bool is_binding() const {
    return has_grammar() || length_ < setup_.min_tokens;
  }
  // Tokens of the turn.
  int64_t length() const { return length_; }

  // The turn goes on by `token`. Errors: INVALID_ARGUMENT with INVALID_TOKEN
  // where the grammar does not allow it here, or with INVALID_OPTIONS where the
  // text has become too deep or too ambiguous for the grammar's limits. The
  // token counts all the same; Apply returns the error until it is taken back.
  absl::Status Append(TokenId token);
  // Takes back all but the first `length` tokens.
  void Truncate(int64_t length);

  // The grammar allows nothing more: its text is complete, or a token has ended
  // the turn. False without a grammar.
  bool is_over() const;
  // Whether the grammar allows `token` next; of one that ends the turn, whether
  // the text may end, or the grammar names this control token here. True
  // without a grammar.
  bool Allows(TokenId token) const;

  // Sets the logits [vocab_size] of banned tokens to -infinity. Errors: that of
  // Append, or INVALID_ARGUMENT with INVALID_OPTIONS where the grammar is too
  // ambiguous here.
  absl::Status Apply(absl::Span<float> logits);

 private:
  // A token that the matcher did not take.
  struct Halt {
    int64_t at = 0;    // its index in the turn
    absl::Status why;  // OK: it ended the turn
  };

  bool IsStop(TokenId token) const;
  // Of a stop token: the text may end here, or the grammar names the token.
  bool MayEndBy(TokenId token) const;
  // Fills mask_ with what is allowed next.
  absl::Status FillMask();

  ConstraintSetup setup_;
  std::optional<GrammarMatcher> matcher_;
  int64_t length_ = 0;
  std::optional<Halt> halt_;
  std::vector<uint64_t> mask_;  // [words of 64 tokens]
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_TOKEN_CONSTRAINT_H_
