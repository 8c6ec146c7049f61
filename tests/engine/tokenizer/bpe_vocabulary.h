// Small byte-level BPE vocabularies for tests. A value; one thread.

#ifndef TANDEM_TESTS_ENGINE_TOKENIZER_BPE_VOCABULARY_H_
#define TANDEM_TESTS_ENGINE_TOKENIZER_BPE_VOCABULARY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// How a file spells bytes: the printable ones of Latin-1 as themselves, the
// others from U+0100 on.
inline std::string SpellBytes(absl::string_view bytes) {
  std::string spelt;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    uint32_t code_point = byte;
    if (byte <= 0x20) code_point = 0x100 + byte;
    if (byte >= 0x7F && byte <= 0xA0) code_point = 0x121 + (byte - 0x7F);
    if (byte == 0xAD) code_point = 0x143;
    if (code_point < 0x80) {
      spelt.push_back(static_cast<char>(code_point));
    } else {
      spelt.push_back(static_cast<char>(0xC0 | code_point >> 6));
      spelt.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
  }
  return spelt;
}

struct BpeVocabulary {
  std::string pre = "gpt-2";
  std::vector<std::string> pieces;
  std::vector<int32_t> types;
  std::vector<std::string> merges;

  TokenId Add(const std::string& piece, TokenKind kind = TokenKind::kNormal) {
    pieces.push_back(piece);
    types.push_back(static_cast<int32_t>(kind));
    return static_cast<TokenId>(pieces.size()) - 1;
  }

  // The merge of two tokens and its result, by their bytes.
  TokenId Merge(absl::string_view left, absl::string_view right) {
    merges.push_back(absl::StrCat(SpellBytes(left), " ", SpellBytes(right)));
    return Add(SpellBytes(absl::StrCat(left, right)));
  }

  // The byte b has id b.
  static BpeVocabulary WithBytes() {
    BpeVocabulary vocabulary;
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      vocabulary.Add(SpellBytes(absl::string_view(&c, 1)));
    }
    return vocabulary;
  }

  // Model, pre, tokens, types and merges.
  GgufWriter Writer() const {
    GgufWriter writer;
    writer.SetString("tokenizer.ggml.model", "gpt2");
    writer.SetString("tokenizer.ggml.pre", pre);
    writer.SetStringArray("tokenizer.ggml.tokens", pieces);
    writer.SetInt32Array("tokenizer.ggml.token_type", types);
    writer.SetStringArray("tokenizer.ggml.merges", merges);
    return writer;
  }
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TOKENIZER_BPE_VOCABULARY_H_
