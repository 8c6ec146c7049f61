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

#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

class SpmTokenizer final : public Tokenizer {
 public:
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromGguf(
      const GgufFile& file);

 protected:
  void EncodePlain(absl::string_view text, SpacePrefix prefix,
                   std::vector<TokenId>* ids) const override;

 private:
  SpmTokenizer() = default;

  // Steps of FromGguf.
  absl::Status ReadScores(const GgufFile& file);
  void ApplyDefaultIds();
  absl::Status IndexTokens(const GgufFile& file);
  absl::Status IndexByte(const GgufFile& file, TokenId id);

  // Appends the ids of `run`: text with its spaces escaped.
  void MergeRun(absl::string_view run, std::vector<TokenId>* ids) const;
  // Appends the ids of a part of a run that merges no further.
  void AppendSymbol(absl::string_view symbol, std::vector<TokenId>* ids) const;
  void AppendBytes(absl::string_view bytes, std::vector<TokenId>* ids) const;

  std::vector<float> scores_;  // [vocab_size]
  bool has_all_bytes_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_SPM_TOKENIZER_H_
