#include "engine/tokenizer/spm_tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {
namespace {

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";
constexpr char kGolden[] = TANDEM_SOURCE_DIR "/tests/data/golden.json";
constexpr char kVocabs[] = TANDEM_SOURCE_DIR "/../shared/vocabs/";

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream content;
  content << stream.rdbuf();
  return content.str();
}

std::unique_ptr<Tokenizer> TokenizerOfFile(const std::string& path) {
  const auto file = GgufFile::Open(path);
  if (!file.ok()) return nullptr;
  auto tokenizer = Tokenizer::FromGguf(**file);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

TEST(SpmTokenizerTest, EncodesTheLlamaVocabularyAsTheOriginalDoes) {
  const auto tokenizer = TokenizerOfFile(absl::StrCat(kVocabs, "llama-spm.gguf"));
  if (tokenizer == nullptr) GTEST_SKIP() << kVocabs << " is not there";
  const std::vector<std::string> texts =
      absl::StrSplit(ReadFile(absl::StrCat(kVocabs, "llama-spm.inp")),
                     "\n__ggml_vocab_test__\n");
  const std::vector<std::string> lines =
      absl::StrSplit(ReadFile(absl::StrCat(kVocabs, "llama-spm.out")), '\n');
  ASSERT_GE(texts.size(), 46u);
  for (size_t i = 0; i < 46; ++i) {
    std::vector<TokenId> expected;
    for (const absl::string_view number :
         absl::StrSplit(lines[i], ' ', absl::SkipEmpty())) {
      TokenId id = 0;
      ASSERT_TRUE(absl::SimpleAtoi(number, &id));
      expected.push_back(id);
    }
    const std::vector<TokenId> ids =
        tokenizer->Encode(texts[i], /*add_bos=*/false);
    EXPECT_EQ(ids, expected) << "text " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), texts[i]);
  }
}

TEST(SpmTokenizerTest, EncodesTheGoldenPrompts) {
  const auto tokenizer = TokenizerOfFile(kTargetModel);
  ASSERT_NE(tokenizer, nullptr);
  const nlohmann::json golden = nlohmann::json::parse(ReadFile(kGolden));
  int prompts = 0;
  for (const nlohmann::json& entry : golden["cases"]) {
    const std::string prompt = entry["prompt"];
    EXPECT_EQ(tokenizer->Encode(prompt, /*add_bos=*/true),
              entry["token_ids"].get<std::vector<TokenId>>())
        << prompt;
    ++prompts;
  }
  EXPECT_GT(prompts, 0);
}

}  // namespace
}  // namespace tandem
