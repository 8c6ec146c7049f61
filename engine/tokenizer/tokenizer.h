// Text to token ids and back. Immutable after FromGguf; any thread may call.

#ifndef TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_
#define TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
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
  std::optional<TokenId> unknown;
  std::optional<TokenId> padding;
};

class Tokenizer {
 public:
  // From tokenizer.ggml.* (model "llama", SentencePiece). Errors:
  // INVALID_ARGUMENT with MALFORMED_FILE (arrays of unlike length, ids out of
  // range, bad byte tokens, no tokens, duplicate pieces where they would be
  // ambiguous) or UNSUPPORTED_MODEL (another tokenizer model, by name).
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(
      const GgufFile& file);
  virtual ~Tokenizer() = default;

  // The ids of `text`, BOS first if `add_bos` and the vocabulary has one. The
  // text of special tokens is plain text. Bytes that are not UTF-8 go through
  // byte tokens. Near-linear time in the length of text.
  virtual std::vector<TokenId> Encode(absl::string_view text,
                                      bool add_bos) const = 0;

  // The text of `ids`; control tokens are left out if `skip_special`, else
  // their names stand there. Decode(Encode(x, b), true) == x for UTF-8 x. May
  // end or begin inside a UTF-8 character if ids do. Ids are in range.
  std::string Decode(absl::Span<const TokenId> ids, bool skip_special) const;

  // The bytes that one token adds to a running text: a byte token's byte,
  // "" for control tokens if `skip_special`.
  virtual absl::string_view TokenText(TokenId id, bool skip_special) const = 0;

  // True where text encoders of this vocabulary put BOS before a text
  // (tokenizer.ggml.add_bos_token).
  virtual bool adds_bos() const = 0;

  virtual int vocab_size() const = 0;
  virtual TokenKind kind(TokenId id) const = 0;
  // The piece as the file spells it.
  virtual absl::string_view piece(TokenId id) const = 0;
  virtual const SpecialTokens& special() const = 0;

  // True for tokens that end a generation unless ignored (EOS, EOT).
  bool IsEndOfGeneration(TokenId id) const;

  // SHA-256 of token bytes, types and special ids, in hexadecimal. A draft and
  // a target pair up only when theirs are equal.
  const std::string& vocabulary_fingerprint() const { return fingerprint_; }

 protected:
  // True where Encode puts a space before the text that Decode takes away.
  virtual bool adds_space_prefix() const = 0;
  void ComputeFingerprint();

 private:
  std::string fingerprint_;
};

// OK where the vocabularies are equal, else FAILED_PRECONDITION with
// VOCABULARY_MISMATCH; the message names the first token that differs.
absl::Status CheckSameVocabulary(const Tokenizer& draft,
                                 const Tokenizer& target);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_
