// A Score request: parsed once, then made token ids by the model's tokenizer.
// Pure functions; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_REQUEST_H_
#define TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/coordinator/client/prompt.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// An item of a multiple choice has a few; more is not one.
inline constexpr int kContinuationsMax = 256;
// Of all continuations of a call: 9 bytes each at most (an id and a float), so
// that the answer stays below the 4 MiB that a client takes.
inline constexpr int64_t kScoredTokensMax = 1 << 18;

struct ScoreInput {
  // Ids, or text; without a prompt the empty text, which gets BOS.
  PromptSource prompt;
  bool has_prompt = false;
  bool parse_special = false;  // of continuations
  std::vector<std::variant<std::vector<TokenId>, std::string>> continuations;
};

// What the model is for a request.
struct ScoreModel {
  const Tokenizer& tokenizer;
  Position context_max = 0;
  size_t token_bytes_max = 0;  // of a token's text; 0: not known
};

struct ScoreTokens {
  std::vector<TokenId> prompt;                      // at least one
  std::vector<std::vector<TokenId>> continuations;  // each at least one
};

// Takes the texts out of `request`. Errors name the field
// ("continuations[3].text"): INVALID_OPTIONS for what is missing, too many or
// does not go together, INVALID_TOKEN for an id that is out of range,
// CONTEXT_EXCEEDED for what can not fit, found without tokenising it.
absl::StatusOr<ScoreInput> ParseScore(v1::ScoreRequest* request,
                                      const ScoreModel& model);

// Bytes of text that are tokenised to make the ids; 0 where all are ids.
int64_t EncodeBytes(const ScoreInput& input);

// The ids. A text continuation has those of prompt and text together that
// follow the prompt's own, as many as these are. `is_over` is asked between
// texts; true gives CANCELLED. Errors: EMPTY_PROMPT where the prompt has no
// token, INVALID_OPTIONS where a continuation has none or all have too many,
// CONTEXT_EXCEEDED.
absl::StatusOr<ScoreTokens> EncodeScore(ScoreInput input,
                                        const ScoreModel& model,
                                        const std::function<bool()>& is_over);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_REQUEST_H_
