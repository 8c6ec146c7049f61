// SentencePiece tokenizer of GGUF files (tokenizer.ggml.model "llama").
// Private to engine/tokenizer; made by Tokenizer::FromGguf. Immutable, so any
// thread may call.
//
// Spaces become U+2581 and one more stands before the text. Text is split into
// characters, and the pair of neighbours whose join is the piece of the
// highest score is joined, leftmost first among equals, until none is left.
// What is then not a piece goes through byte tokens. A U+2581 in the text
// itself goes through byte tokens too, so that Decode gives it back and not a
// space.

#ifndef TANDEM_ENGINE_TOKENIZER_SPM_TOKENIZER_H_
#define TANDEM_ENGINE_TOKENIZER_SPM_TOKENIZER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/token_matcher.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

namespace tandem {

class SpmTokenizer final : public Tokenizer {
 public:
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(
      const GgufFile& file);

  absl::string_view TokenText(TokenId id, bool skip_special) const override;
  bool adds_bos() const override { return adds_bos_; }
  int vocab_size() const override { return vocabulary_.size(); }
  TokenKind kind(TokenId id) const override;
  absl::string_view piece(TokenId id) const override;
  const SpecialTokens& special() const override { return vocabulary_.special; }

 protected:
  void EncodePlain(absl::string_view text, SpacePrefix prefix,
                   std::vector<TokenId>* ids) const override;
  bool adds_space_prefix() const override { return adds_space_prefix_; }

 private:
  static constexpr TokenId kNone = -1;

  SpmTokenizer() { byte_ids_.fill(kNone); }

  // Steps of FromGguf.
  absl::Status ReadScores(const GgufFile& file);
  void ApplyDefaultIds();
  absl::Status IndexTokens(const GgufFile& file);
  absl::Status IndexByte(const GgufFile& file, TokenId id);
  absl::Status IndexText(const GgufFile& file, TokenId id);
  absl::Status CheckEveryByteHasToken(const GgufFile& file) const;

  // Appends the ids of `run`: text with its spaces escaped.
  void MergeRun(absl::string_view run, std::vector<TokenId>* ids) const;
  // Appends the ids of a part of a run that merges no further.
  void AppendSymbol(absl::string_view symbol, std::vector<TokenId>* ids) const;
  void AppendBytes(absl::string_view bytes, std::vector<TokenId>* ids) const;

  Vocabulary vocabulary_;
  std::vector<float> scores_;       // [vocab_size]
  std::vector<std::string> texts_;  // [vocab_size], what a token adds to a text
  std::vector<uint8_t> is_special_;  // [vocab_size]
  // Normal tokens by piece; the keys point into vocabulary_.
  absl::flat_hash_map<absl::string_view, TokenId> mergeable_;
  size_t mergeable_bytes_max_ = 0;
  TokenMatcher user_defined_;
  std::array<TokenId, 256> byte_ids_;
  bool has_all_bytes_ = false;
  bool adds_bos_ = true;
  bool adds_space_prefix_ = true;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_SPM_TOKENIZER_H_
