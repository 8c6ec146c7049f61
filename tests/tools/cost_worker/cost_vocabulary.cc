#include "tests/tools/cost_worker/cost_vocabulary.h"

#include <utility>

#include "engine/gguf/gguf_file.h"
#include "gtest/gtest.h"

namespace tandem::bench {

std::string DemoVocabularyPath() {
  return std::string(TANDEM_SOURCE_DIR) +
         "/deploy/models/tales-target-q8_0.gguf";
}

std::unique_ptr<Tokenizer> DemoTokenizer() {
  const auto file = GgufFile::Open(DemoVocabularyPath());
  EXPECT_TRUE(file.ok()) << file.status();
  auto tokenizer = Tokenizer::FromGguf(**file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

}  // namespace tandem::bench
