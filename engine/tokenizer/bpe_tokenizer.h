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

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/bpe_merger.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// Words are merged in parts of at most this size, to bound memory (about 30
// bytes a byte); no token crosses the seam between two parts.
inline constexpr size_t kBpeWordBytesMax = 1 << 20;

class BpeTokenizer final : public Tokenizer {
 public:
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(
      const GgufFile& file);

 protected:
  void EncodePlain(absl::string_view text, SpacePrefix prefix,
                   std::vector<TokenId>* ids) const override;

 private:
  BpeTokenizer() = default;

  // Steps of FromGguf.
  absl::Status ReadPreTokenizer(const GgufFile& file);
  absl::Status IndexTokens(const GgufFile& file);
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

  const PreTokenizer* pre_tokenizer_ = nullptr;
  BpeMerges merges_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_BPE_TOKENIZER_H_
