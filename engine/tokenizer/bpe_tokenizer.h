// Byte-level BPE tokenizer of GGUF files (tokenizer.ggml.model "gpt2"). Private
// to engine/tokenizer; made by Tokenizer::FromGguf. Immutable, so any thread
// may call.
//
// A text is brought to NFC where the family does so (nfc.h), and cut into words
// (pre_tokenizer.h); each word begins as its bytes, and the neighbours whose
// merge stands first in the file are merged until none is left (bpe_merger.h).
// In the file a byte is spelt as one printable character (README.md); here all
// texts are bytes.

#ifndef TANDEM_ENGINE_TOKENIZER_BPE_TOKENIZER_H_
#define TANDEM_ENGINE_TOKENIZER_BPE_TOKENIZER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/bpe_merger.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/token_matcher.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/vocabulary.h"

namespace tandem {

// Words are merged in parts of at most this size, to bound memory (about 30
// bytes a byte); no token crosses the seam between two parts.
inline constexpr size_t kBpeWordBytesMax = 1 << 20;

class BpeTokenizer final : public Tokenizer {
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

  BpeTokenizer() { byte_ids_.fill(kNone); }

  // Steps of FromGguf.
  absl::Status ReadPreTokenizer(const GgufFile& file);
  absl::Status IndexTokens(const GgufFile& file);
  absl::Status CheckBytes(const GgufFile& file) const;
  absl::Status ReadMerges(const GgufFile& file);
  absl::Status ReadMerge(const GgufFile& file, absl::string_view text,
                         uint32_t rank);
  absl::StatusOr<TokenId> FindMergePiece(const GgufFile& file,
                                         absl::string_view piece,
                                         uint32_t rank) const;

  // Appends the ids of text without user-defined tokens.
  void EncodeWords(absl::string_view text, BpeMerger* merger,
                   std::vector<TokenId>* ids) const;
  void EncodeWord(absl::string_view word, BpeMerger* merger,
                  std::vector<TokenId>* ids) const;
  // The same for a word with a byte that is no token.
  void EncodeBrokenWord(absl::string_view word, BpeMerger* merger,
                        std::vector<TokenId>* ids) const;
  bool HasAllBytes(absl::string_view text) const;

  Vocabulary vocabulary_;
  const PreTokenizer* pre_tokenizer_ = nullptr;
  std::vector<std::string> texts_;  // [vocab_size], what a token adds to a text
  std::vector<uint8_t> is_special_;  // [vocab_size]
  // Normal tokens by text; the keys point into texts_.
  absl::flat_hash_map<absl::string_view, TokenId> mergeable_;
  size_t mergeable_bytes_max_ = 0;
  BpeMerges merges_;
  TokenMatcher user_defined_;
  std::array<TokenId, 256> byte_ids_;
  bool adds_bos_ = false;
  bool adds_space_prefix_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_BPE_TOKENIZER_H_
