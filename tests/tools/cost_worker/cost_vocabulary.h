// The vocabulary of the demo pair, for tests.

#ifndef TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_
#define TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_

#include <memory>
#include <string>

#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/tokenizer.h"
#include "gtest/gtest.h"

namespace tandem::bench {

inline std::string DemoVocabularyPath() {
  return std::string(TANDEM_SOURCE_DIR) +
         "/deploy/models/tales-target-q8_0.gguf";
}

inline std::unique_ptr<Tokenizer> DemoTokenizer() {
  const auto file = GgufFile::Open(DemoVocabularyPath());
  EXPECT_TRUE(file.ok()) << file.status();
  auto tokenizer = Tokenizer::FromGguf(**file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

}  // namespace tandem::bench

#endif  // TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_
