#include "tools/tandem/draft_search.h"

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

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const char kModels[] = TANDEM_SOURCE_DIR "/deploy/models/";
const char kTargetFile[] = "tales-target-q8_0.gguf";
const char kDraftFile[] = "tales-draft-q8_0.gguf";

// A folder with the demo's target.
class DraftSearchTest : public ::testing::Test {
 protected:
  DraftSearchTest() {
    std::filesystem::create_directory(folder_);
    Link(kTargetFile, kTargetFile);
  }
  ~DraftSearchTest() override { std::filesystem::remove_all(folder_); }

  std::string PathOf(const std::string& name) const {
    return absl::StrCat(folder_, "/", name);
  }
  void Link(const std::string& model, const std::string& name) {
    std::filesystem::create_symlink(kModels + model, PathOf(name));
  }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(PathOf(name), std::ios::binary) << bytes;
  }

  DraftSearch Find() {
    const auto target = OpenModel(PathOf(kTargetFile));
    if (!target.ok()) {
      ADD_FAILURE() << target.status();
      return {};
    }
    return FindDraft(PathOf(kTargetFile), *target);
  }

  const std::string folder_ =
      absl::StrCat(::testing::TempDir(), "draft_search_", getpid());
};

TEST_F(DraftSearchTest, FindsTheDemosDraft) {
  Link(kDraftFile, kDraftFile);
  const DraftSearch search = Find();
  EXPECT_EQ(search.path, PathOf(kDraftFile));
  EXPECT_THAT(search.reasons, IsEmpty());
}

TEST_F(DraftSearchTest, AloneThereIsNone) {
  Link(kDraftFile, "draft.bin");   // another extension
  Link(kTargetFile, "copy.gguf");  // as large as the target
  std::filesystem::create_directory(PathOf("folder.gguf"));
  const DraftSearch search = Find();
  EXPECT_EQ(search.path, std::nullopt);
  EXPECT_THAT(search.reasons, IsEmpty());
}

TEST_F(DraftSearchTest, SaysWhyFilesDoNotFit) {
  Write("a.gguf", TinyModel(TinyModelSpec()).Serialize());
  Write("b.gguf", "GGUX and so on");
  DraftSearch search = Find();
  EXPECT_EQ(search.path, std::nullopt);
  EXPECT_THAT(search.reasons,
              ElementsAre(HasSubstr("b.gguf"),  // the smaller one first
                          HasSubstr("the first token that differs is ")));
  Link(kDraftFile, "z.gguf");
  search = Find();
  EXPECT_EQ(search.path, PathOf("z.gguf"));
  EXPECT_THAT(search.reasons, SizeIs(2));
}

TEST_F(DraftSearchTest, LooksAtAFewOnly) {
  for (int i = 0; i < 20; ++i) Write(absl::StrCat(i, ".gguf"), "no model");
  const DraftSearch search = Find();
  EXPECT_THAT(search.reasons, SizeIs(kDraftFilesMax + 1));
  EXPECT_THAT(search.reasons.back(), HasSubstr("only the 8 smallest"));
}

}  // namespace
}  // namespace tandem::cli
