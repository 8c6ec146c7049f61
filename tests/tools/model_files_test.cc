#include "tools/tandem/model_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const char kTarget[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";
const char kDraft[] = TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";

std::string ErrorOf(const ModelPaths& paths) {
  return std::string(OpenModels(paths).status().message());
}

TEST(ModelFilesTest, OpensAPairAndOne) {
  const auto pair = OpenModels({.target = kTarget, .draft = kDraft});
  ASSERT_TRUE(pair.ok()) << pair.status();
  ASSERT_TRUE(pair->draft.has_value());
  EXPECT_GT(pair->target.config.context_length, 0);
  EXPECT_EQ(pair->target.tokenizer->vocab_size(),
            pair->draft->tokenizer->vocab_size());
  const auto one = OpenModels({.target = kTarget});
  ASSERT_TRUE(one.ok()) << one.status();
  EXPECT_FALSE(one->draft.has_value());
}

TEST(ModelFilesTest, ErrorsNameTheFileAndTheFlagOfTheDraft) {
  EXPECT_THAT(ErrorOf({.target = ""}), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf({.target = "/nowhere/m.gguf"}),
              StartsWith("/nowhere/m.gguf: "));
  EXPECT_THAT(ErrorOf({.target = kTarget, .draft = "/nowhere/d.gguf"}),
              StartsWith("--draft: /nowhere/d.gguf: "));
  EXPECT_THAT(ErrorOf({.target = kTarget, .draft = kTarget}),
              HasSubstr("is the model itself"));
}

TEST(ModelFilesTest, ADraftOfAnotherVocabulary) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "model_files_", getpid(), ".gguf");
  std::ofstream(path, std::ios::binary)
      << TinyModel(TinyModelSpec()).Serialize();
  const std::string error = ErrorOf({.target = kTarget, .draft = path});
  std::filesystem::remove(path);
  EXPECT_THAT(error, StartsWith("--draft " + path));
  EXPECT_THAT(error, HasSubstr("the first token that differs is "));
}

}  // namespace
}  // namespace tandem::cli
