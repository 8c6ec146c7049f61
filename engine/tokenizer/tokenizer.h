// Text to token ids and back. Immutable after FromGguf; any thread may call.

#ifndef TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_
#define TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/grammar/grammar_cache.h"
#include "engine/template/chat/chat_template.h"
#include "engine/template/marked_text.h"
#include "engine/tokenizer/text_cuts.h"
#include "engine/tokenizer/token_matcher.h"
#include "engine/tokenizer/vocabulary.h"

namespace tandem {

// The template of a file's chats; others of a name stand under KEY.NAME.
inline constexpr char kChatTemplateKey[] = "tokenizer.chat_template";

// Longer texts are merged in parts, which cuts would move.
inline constexpr size_t kCutTextBytesMax = 4 << 20;

struct EncodeOptions {
  // BOS first, where the vocabulary has one.
  bool add_bos = false;
  // The texts of special tokens become these tokens; else they are plain text.
  bool parse_special = false;
  // The text goes on from a cut (LastCut): neither BOS nor a space comes first.
  bool goes_on = false;
};

class Tokenizer {
 public:
  // From tokenizer.* (model "llama", SentencePiece, or "gpt2", byte-level BPE).
  // Errors: INVALID_ARGUMENT with MALFORMED_FILE (arrays of unlike length, ids
  // out of range, bad byte tokens, no tokens, merges of unknown pieces,
  // duplicates where they would be ambiguous) or UNSUPPORTED_MODEL (another
  // tokenizer model or pre-tokeniser, by name).
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(
      const GgufFile& file);
  virtual ~Tokenizer() = default;

  // The ids of `text`. Bytes that are not UTF-8 go through byte tokens.
  // Near-linear time in the length of text.
  std::vector<TokenId> Encode(absl::string_view text,
                              const EncodeOptions& options) const;
  // The same with the text of special tokens plain.
  std::vector<TokenId> Encode(absl::string_view text, bool add_bos) const {
    return Encode(text, EncodeOptions{.add_bos = add_bos});
  }

  // The last place in `text` behind `from` and not behind `to` where it can be
  // cut whatever follows it: Encode of what is before, and Encode with
  // `goes_on` of all from there, joined, are Encode of the whole, for texts up
  // to kCutTextBytesMax. `from`: 0 or such a place, and the answer where there
  // is no other.
  size_t LastCut(absl::string_view text, size_t from, size_t to) const {
    return cuts_.Last(text, from, to);
  }

  // The file's chat templates; none where it has none.
  const ChatTemplate& chat_template() const { return chat_template_; }
  // The ids of a rendered prompt after a token `last` (nothing: a new session,
  // which begins with BOS, once, if the vocabulary says so). In parts that are
  // the template's own the texts of special tokens are these tokens; contents
  // are plain text that no special token comes from. Neighbouring plain texts
  // are encoded as one. Where `last` ends a reply already, `parts` are taken
  // from behind the marker for it that they begin with.
  std::vector<TokenId> EncodeChat(absl::Span<const TextPart> parts,
                                  std::optional<TokenId> last) const;

  // The text of `ids`; control tokens are left out if `skip_special`, else
  // their names stand there. Decode(Encode(x, b), true) == x for UTF-8 x. May
  // end or begin inside a UTF-8 character if ids do. Ids are in range.
  std::string Decode(absl::Span<const TokenId> ids, bool skip_special) const;

  // The bytes that one token adds to a running text: a byte token's byte,
  // "" for control tokens if `skip_special`.
  absl::string_view TokenText(TokenId id, bool skip_special) const;

  // True where text encoders of this vocabulary put BOS before a text
  // (tokenizer.ggml.add_bos_token).
  bool adds_bos() const { return adds_bos_; }

  int vocab_size() const { return vocabulary_.size(); }
  TokenKind kind(TokenId id) const;
  // The piece as the file spells it.
  absl::string_view piece(TokenId id) const;
  const SpecialTokens& special() const { return vocabulary_.special; }

  // True for tokens that end a generation unless ignored: those that the file
  // names as EOS, EOT, EOM or in eos_token_ids, and special tokens with the
  // name of one that ends a reply (special_names.h).
  bool IsEndOfGeneration(TokenId id) const;
  // All of these, ascending.
  absl::Span<const TokenId> end_tokens() const { return end_tokens_; }

  // Compiled grammars in this vocabulary. The first call reads all tokens,
  // which takes up to 0.1 s: never on an event loop.
  GrammarCache& grammars() const;

  // SHA-256 of token bytes, types and special ids, in hexadecimal.
  const std::string& vocabulary_fingerprint() const { return fingerprint_; }

 protected:
  Tokenizer() { byte_ids_.fill(kNone); }

  // Whether a space goes before a plain text.
  enum class SpacePrefix { kNone, kAsVocabularySays };

  // Appends the ids of plain text: user-defined tokens are found in it, special
  // ones are not.
  virtual void EncodePlain(absl::string_view text, SpacePrefix prefix,
                           std::vector<TokenId>* ids) const = 0;
  // Last step of making a tokenizer: what depends on all tokens.
  void FinishTokens();

  static constexpr TokenId kNone = -1;

  // A token that others are merged to, by `text`, which stays where it is.
  absl::Status AddMergeable(const GgufFile& file, absl::string_view text,
                            TokenId id);
  // Fills user_defined_ by texts_.
  absl::Status IndexUserDefined(const GgufFile& file);

  // MALFORMED_FILE where neither a byte that `is_needed` nor the unknown has a
  // token.
  absl::Status CheckBytes(const GgufFile& file,
                          bool (*is_needed)(size_t byte)) const;

  // Whether each byte of `text` is a token.
  bool HasAllBytes(absl::string_view text) const;

  // The members below are set by the kinds of tokenizer before FinishTokens.
  Vocabulary vocabulary_;
  std::vector<std::string> texts_;  // [vocab_size], what a token adds to a text
  std::vector<uint8_t> is_special_;  // [vocab_size]
  bool adds_bos_ = false;
  // Encode puts a space before the text that Decode takes away.
  bool adds_space_prefix_ = false;
  // The next four are for merging: normal tokens by text or piece, the most
  // bytes of one, tokens that are found before it, and tokens of one byte.
  absl::flat_hash_map<absl::string_view, TokenId> mergeable_;
  size_t mergeable_bytes_max_ = 0;
  TokenMatcher user_defined_;
  std::array<TokenId, 256> byte_ids_;
  // Without the tokens that FinishTokens adds.
  TextCuts cuts_;

 private:
  void ComputeFingerprint();
  // Reads the chat templates of `file`.
  absl::Status ReadChatTemplate(const GgufFile& file);
  // Bytes at the start of `text` up to the end of the marker for the end of a
  // reply; 0 where there is none, or another special token comes first.
  size_t ReplyEndBytes(absl::string_view text, TokenId last) const;
  // Appends the plain text between two special tokens, whose first `own_bytes`
  // bytes are the template's own.
  void EncodeChatText(absl::string_view text, size_t own_bytes,
                      bool after_special, std::vector<TokenId>* ids) const;

  std::string fingerprint_;
  ChatTemplate chat_template_;
  // Chats only: white space after special tokens is dropped.
  bool strips_after_special_ = false;
  TokenMatcher special_tokens_;      // by text
  std::vector<TokenId> end_tokens_;  // of a generation
  mutable absl::once_flag grammars_made_;
  mutable std::unique_ptr<GrammarCache> grammars_;
};

// OK where a draft with the one vocabulary may draft for a target with the
// other: all ids below the smaller size have equal bytes and kinds, and the
// others are fillers, which no text yields (unused, control, "[PAD151650]").
// Else FAILED_PRECONDITION with VOCABULARY_MISMATCH; the message names the
// first token that differs. Which ids are BOS, ends or padding does not matter:
// the target's decide, and a draft's can cost time only.
absl::Status CheckSameVocabulary(const Tokenizer& draft,
                                 const Tokenizer& target);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_TOKENIZER_H_
