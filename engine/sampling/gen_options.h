// What a client may ask of a generation. Plain values; defaults are the
// service's. Ranges stand at each field; ValidateGenOptions checks them.

#ifndef TANDEM_ENGINE_SAMPLING_GEN_OPTIONS_H_
#define TANDEM_ENGINE_SAMPLING_GEN_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {

inline constexpr int kMaxTokensLimit = 1 << 20;
inline constexpr int kStopTokenIdsLimit = 255;
inline constexpr int kStopStringsLimit = 16;
inline constexpr int kStopStringBytesLimit = 256;
inline constexpr int kLogitBiasLimit = 1024;
inline constexpr int kLogprobsLimit = 20;
inline constexpr int kChoicesLimit = 64;
inline constexpr int kDraftLengthLimit = 16;
// A fixed length where nobody measures.
inline constexpr int kDraftLengthDefault = 4;

// Added to the raw logit of `id`. -infinity bans the token.
struct LogitBias {
  TokenId id = 0;
  float bias = 0;  // finite in [-1000, 1000], or -infinity
};

// Where drafts may come from.
enum class DraftSources {
  kAny,     // whatever is expected to be faster
  kModel,   // a draft model only
  kLookup,  // prompt lookup only: what followed in the session's own text
};

struct GenOptions {
  // Tokens to generate at most, 1 .. kMaxTokensLimit.
  int32_t max_tokens = 512;
  // 0 is greedy (the highest processed logit), else 0 < t <= 100: any positive
  // float, subnormal ones too (logits are divided in double, which such a
  // quotient fits).
  float temperature = 0.7f;
  // Keeps the fewest tokens whose probabilities sum to top_p; (0, 1], 1 = off.
  float top_p = 0.9f;
  // Keeps the k highest; 0 .. 2^31 - 1, 0 = off.
  int32_t top_k = 40;
  // Drops tokens below min_p times the highest probability; [0, 1], 0 = off.
  float min_p = 0.0f;
  // Of all tokens of the session: divides positive logits, multiplies the
  // others; (0, 10], 1 = off.
  float repetition_penalty = 1.1f;
  // Subtracted once from tokens generated in this turn; [-10, 10], 0 = off.
  float presence_penalty = 0.0f;
  // Subtracted for each time a token was generated in this turn; as above.
  float frequency_penalty = 0.0f;
  // At most kLogitBiasLimit, each id once.
  std::vector<LogitBias> logit_bias = {};
  // Any 64-bit value; absent: one below 2^53 is drawn and reported.
  std::optional<uint64_t> seed = {};
  // Which of several replies to one prompt under one seed: each has noise of
  // its own; greedy ones are all the same. 0 .. kChoicesLimit - 1.
  int32_t choice = 0;
  // End the turn, beside the vocabulary's own end-of-generation tokens; at
  // most kStopTokenIdsLimit.
  std::vector<TokenId> stop_token_ids = {};
  // End the turn where they stand in the text, which is cut before them; at
  // most kStopStringsLimit of 1 .. kStopStringBytesLimit bytes of UTF-8.
  std::vector<std::string> stop_strings = {};
  // Goes on past the vocabulary's end-of-generation tokens.
  bool ignore_eos = false;
  // Tokens to generate before a token may end the turn, 0 .. max_tokens. Yields
  // where response_format allows nothing but the end.
  int32_t min_tokens = 0;
  // Which texts the turn may have; absent: any. Checked where it is compiled
  // (CompileResponseFormat), not by ValidateGenOptions.
  std::optional<GrammarSource> response_format = {};
  // Log-probabilities of each token and of this many alternatives,
  // 0 .. kLogprobsLimit; absent: none at all.
  std::optional<int32_t> logprobs = {};
  // These three never change the text. Tokens drafted per round, 0 (no
  // speculation) .. kDraftLengthLimit; absent: picked anew for each round, for
  // the most tokens per second, 0 .. draft_length_max.
  std::optional<int32_t> draft_length = {};
  // 0 (no speculation) .. kDraftLengthLimit; only where draft_length is absent.
  int32_t draft_length_max = kDraftLengthLimit;
  DraftSources draft_sources = DraftSources::kAny;
};

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS and one violation per wrong
// field ("temperature", "stop_strings[3]"); vocab_size bounds token ids.
absl::Status ValidateGenOptions(const GenOptions& options, int vocab_size);

// True for well-formed UTF-8 (no surrogates, no overlong forms); "" is.
bool IsUtf8(absl::string_view text);

// A seed below 2^53 (every language's JSON holds it) from the system's
// entropy.
uint64_t DrawSeed();

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_GEN_OPTIONS_H_
