// The tokens of a model as its GGUF lists them, whatever the tokenizer model:
// pieces, kinds and special ids. A plain value, owned by its tokenizer.

#ifndef TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_
#define TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

inline constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
inline constexpr char kTokenTypeKey[] = "tokenizer.ggml.token_type";

// Real pieces have under 200 bytes.
inline constexpr size_t kPieceBytesMax = 65535;

struct Vocabulary {
  std::vector<std::string> pieces;  // [vocab_size], as the file spells them
  std::vector<TokenKind> kinds;     // [vocab_size]
  SpecialTokens special;

  int size() const { return static_cast<int>(pieces.size()); }
  // True for tokens that never come from text: control and unknown ones, and
  // those that the file names as BOS, EOS, EOT or padding.
  bool IsSpecial(TokenId id) const;
};

// "normal", "control", ...
absl::string_view TokenKindName(TokenKind kind);

// Reads tokens, token_type (all normal where absent) and the *_token_id
// entries. Errors: INVALID_ARGUMENT with MALFORMED_FILE.
absl::StatusOr<Vocabulary> ReadVocabulary(const GgufFile& file);

// The value under a key that must be there: an absent one is MALFORMED_FILE.
absl::StatusOr<const GgufArray*> GetRequiredArray(const GgufFile& file,
                                                  absl::string_view key);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_
