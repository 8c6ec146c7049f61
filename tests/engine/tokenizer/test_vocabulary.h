// Small vocabularies for tests. A value; one thread.

#ifndef TANDEM_TESTS_ENGINE_TOKENIZER_TEST_VOCABULARY_H_
#define TANDEM_TESTS_ENGINE_TOKENIZER_TEST_VOCABULARY_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/gguf/gguf_file.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

struct TestVocabulary {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::vector<int32_t> types;

  TokenId Add(const std::string& piece, TokenKind kind = TokenKind::kNormal,
              float score = 0) {
    pieces.push_back(piece);
    scores.push_back(score);
    types.push_back(static_cast<int32_t>(kind));
    return static_cast<TokenId>(pieces.size()) - 1;
  }

  // <unk>, <s> and </s>: ids 0, 1 and 2.
  static TestVocabulary WithSpecials() {
    TestVocabulary vocabulary;
    vocabulary.Add("<unk>", TokenKind::kUnknown);
    vocabulary.Add("<s>", TokenKind::kControl);
    vocabulary.Add("</s>", TokenKind::kControl);
    return vocabulary;
  }

  // Those, and the byte tokens: the byte b has id 3 + b.
  static TestVocabulary WithBytes() {
    TestVocabulary vocabulary = WithSpecials();
    for (int byte = 0; byte < 256; ++byte) {
      char piece[7];
      std::snprintf(piece, sizeof(piece), "<0x%02X>", byte);
      vocabulary.Add(piece, TokenKind::kByte);
    }
    return vocabulary;
  }

  // Model, tokens, scores and types.
  GgufWriter Writer() const {
    GgufWriter writer;
    writer.SetString("tokenizer.ggml.model", "llama");
    writer.SetStringArray("tokenizer.ggml.tokens", pieces);
    writer.SetFloat32Array("tokenizer.ggml.scores", scores);
    writer.SetInt32Array("tokenizer.ggml.token_type", types);
    return writer;
  }
};

inline absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(
    const GgufWriter& writer) {
  const auto file = GgufFile::FromBytes(writer.Serialize(), "vocabulary");
  if (!file.ok()) return file.status();
  return Tokenizer::FromGguf(**file);
}

// Of a vocabulary that is right.
inline std::unique_ptr<Tokenizer> MakeTokenizer(
    const TestVocabulary& vocabulary) {
  return std::move(MakeTokenizer(vocabulary.Writer()).value());
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TOKENIZER_TEST_VOCABULARY_H_
