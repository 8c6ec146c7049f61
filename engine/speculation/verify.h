// Verification of a draft: equal? keep it and go on : take the target's token
// and stop. The target derives every token by itself, so a drafter can cost
// time and never changes the text.

#ifndef TANDEM_ENGINE_SPECULATION_VERIFY_H_
#define TANDEM_ENGINE_SPECULATION_VERIFY_H_

#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/logits_processor.h"

namespace tandem {

// One verification: fed the rows of one pass in order. Row i holds the logits
// after draft[0..i) and chooses the token at the processor's length() + i.
class Verification {
 public:
  // `processor` (at the position of the first row) and `draft` outlive this.
  Verification(LogitsProcessor* processor, absl::Span<const TokenId> draft);

  // Takes the next row's raw logits (overwritten). Rows after the last of
  // TakeTokens are ignored. After the last, the processor's history holds the
  // chosen tokens. Errors: as LogitsProcessor::Sample.
  absl::Status OnRow(absl::Span<float> logits);

  // The target's own tokens, 1 .. draft.size() + 1, ending at the first that
  // differs from the draft or completes the text of the turn's grammar.
  std::vector<SampledToken> TakeTokens() { return std::move(tokens_); }
  // True when no further row can change the tokens.
  bool done() const { return done_; }

 private:
  LogitsProcessor* processor_;
  absl::Span<const TokenId> draft_;
  std::vector<SampledToken> tokens_;
  bool done_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_VERIFY_H_
