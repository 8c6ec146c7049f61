// The program of engine/README.md, word for word: it compiles, and runs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "engine/base/status.h"
#include "engine/session/generate.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// begin
absl::StatusOr<std::string> Tell(const std::string& path) {
  ModelStore store;
  TANDEM_RETURN_IF_ERROR(store.AddFile("tales", path));
  GenerateOptions options;
  options.generation.max_tokens = 40;
  options.generation.seed = 7;
  TANDEM_ASSIGN_OR_RETURN(
      const GenerateResult result,
      Generate(store, "tales", "Once upon a time", options));
  return result.text;
}
// end

std::string Read(const std::string& path) {
  std::ifstream file(TANDEM_SOURCE_DIR "/" + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ReadmeExampleTest, TheReadmeShowsWhatRunsHere) {
  const std::string source =
      Read("tests/engine/session/readme_example_test.cc");
  const size_t begin = source.find("// begin\n") + 9;
  const std::string shown =
      source.substr(begin, source.find("// end\n") - begin);
  EXPECT_THAT(shown, StartsWith("absl::StatusOr<std::string> Tell("));
  EXPECT_THAT(Read("engine/README.md"),
              HasSubstr("```cpp\n" + shown + "```\n"));
}

TEST(ReadmeExampleTest, TheProgramTellsAStory) {
  const absl::StatusOr<std::string> text =
      Tell(TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, StartsWith(" there lived a king"));
  EXPECT_FALSE(Tell("/nowhere.gguf").ok());
}

}  // namespace
}  // namespace tandem
