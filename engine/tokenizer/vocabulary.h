// The tokens of a model as its GGUF lists them, whatever the tokenizer model:
// pieces, kinds and special ids. A plain value, owned by its tokenizer.

#ifndef TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_
#define TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// tokenizer.ggml.token_type of a GGUF.
enum class TokenKind : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // never text: BOS, EOS
  kUserDefined = 4,  // found in text before merging
  kUnused = 5,
  kByte = 6,  // "<0x0A>": one byte
};

// Ids of the special tokens; nothing where the file names none.
struct SpecialTokens {
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> eot;  // end of turn
  std::optional<TokenId> eom;  // end of message: a tool is called
  std::optional<TokenId> unknown;
  std::optional<TokenId> padding;
  // More that end a text (eos_token_ids); at most kEndIdsMax.
  std::vector<TokenId> ends;
};

inline constexpr char kTokensKey[] = "tokenizer.ggml.tokens";
inline constexpr char kTokenTypeKey[] = "tokenizer.ggml.token_type";
// Known files name up to three.
inline constexpr size_t kEndIdsMax = 64;

// Real pieces have under 200 bytes.
inline constexpr size_t kPieceBytesMax = 65535;

struct Vocabulary {
  std::vector<std::string> pieces;  // [vocab_size], as the file spells them
  std::vector<TokenKind> kinds;     // [vocab_size]
  SpecialTokens special;

  int size() const { return static_cast<int>(pieces.size()); }
  // True for tokens that never come from text: control and unknown ones, those
  // that the file names as BOS, EOS, EOT, EOM or padding, and user-defined ones
  // that are spelt like the marker of a chat template.
  bool IsSpecial(TokenId id) const;
};

// "normal", "control", ...
absl::string_view TokenKindName(TokenKind kind);

// Reads tokens, token_type (all normal where absent), the *_token_id entries
// and eos_token_ids. Errors: INVALID_ARGUMENT with MALFORMED_FILE.
absl::StatusOr<Vocabulary> ReadVocabulary(const GgufFile& file);

// MALFORMED_FILE: two tokens that must differ are spelt alike.
absl::Status DuplicateToken(const GgufFile& file, const Vocabulary& vocabulary,
                            TokenId first, TokenId second);

// The value under a key that must be there: an absent one is MALFORMED_FILE.
absl::StatusOr<const GgufArray*> GetRequiredArray(const GgufFile& file,
                                                  absl::string_view key);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_VOCABULARY_H_
