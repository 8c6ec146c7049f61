// A model whose next token is a pure function of the tokens before, its
// vocabulary, and the text that a plain run gives: the oracle of the
// coordinator's tests. Values; any thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_MODEL_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/sampling/raw_logprobs.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {

// The image of the fake model's tokenizer; another `variant` has another last
// piece, and `fillers` are unused tokens behind it.
std::string FakeTokenizerImage(const std::string& variant = "",
                               int fillers = 0);
// The tokenizer of the image without variant; made once.
std::shared_ptr<const Tokenizer> FakeTokenizer();

// A text that begins with this token repeats its last kFakePeriod tokens for
// ever.
inline constexpr TokenId kFakeRepeat = 0;
inline constexpr size_t kFakePeriod = 6;

// What the target chooses after `prefix`; </s> about once in 300.
TokenId FakeTargetToken(absl::Span<const TokenId> prefix);
// What the drafter guesses: the same, seven times in ten.
TokenId FakeDraftToken(absl::Span<const TokenId> prefix);

// What the target scores `tokens` from index `from` on, but `count` at most,
// with `alternatives` each: functions of position and token, without ids.
std::vector<ScoredToken> FakeScores(absl::Span<const TokenId> tokens,
                                    Position from, size_t count,
                                    int alternatives = 0);

// A worker's sequence: tokens that are cut and extended.
class FakeSequence {
 public:
  explicit FakeSequence(std::vector<TokenId> tokens)
      : tokens_(std::move(tokens)) {}
  // False where `position` is beyond the sequence or there is no token.
  bool Extend(Position position, absl::Span<const TokenId> tokens);
  std::vector<TokenId> Propose(int draft_length);
  std::vector<TokenId> Verify(absl::Span<const TokenId> draft);
  const std::vector<TokenId>& tokens() const { return tokens_; }

 private:
  std::vector<TokenId> tokens_;
};

struct PlainResult {
  std::vector<TokenId> tokens;
  std::string text;
  FinishReason reason = FinishReason::kError;
};

// The turn as the target alone generates it.
PlainResult PlainRun(const TurnSpec& spec);

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_MODEL_H_
