#include "tools/tandem/up/runtime_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::StartsWith;

class RuntimeFolderTest : public ::testing::Test {
 protected:
  RuntimeFolderTest() {
    if (const char* set = getenv("XDG_RUNTIME_DIR")) before_ = set;
  }
  ~RuntimeFolderTest() override {
    if (before_.empty()) {
      unsetenv("XDG_RUNTIME_DIR");
    } else {
      setenv("XDG_RUNTIME_DIR", before_.c_str(), /*overwrite=*/1);
    }
  }

  std::string before_;
};

TEST_F(RuntimeFolderTest, IsPrivateAndGoesWithItsFiles) {
  unsetenv("XDG_RUNTIME_DIR");
  std::string path;
  {
    const auto folder = RuntimeFolder::Make();
    ASSERT_TRUE(folder.ok()) << folder.status();
    path = (*folder)->PathOf("file");
    EXPECT_THAT(path, StartsWith("/tmp/tandem-up-"));
    std::ofstream(path) << "x";
    struct stat info;
    path = std::filesystem::path(path).parent_path();
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(RuntimeFolderTest, StandsInTheUsersRuntimeFolder) {
  const std::string parent = absl::StrCat("/tmp/up_test_", getpid());
  ASSERT_TRUE(std::filesystem::create_directory(parent));
  setenv("XDG_RUNTIME_DIR", parent.c_str(), /*overwrite=*/1);
  {
    const auto folder = RuntimeFolder::Make();
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_THAT((*folder)->PathOf("a"), StartsWith(parent + "/tandem-up-"));
  }
  EXPECT_TRUE(std::filesystem::remove(parent));  // it is empty
}

TEST_F(RuntimeFolderTest, FallsBackWhereThatCanNotBeUsed) {
  for (const std::string& parent :
       {std::string("/nonexistent"), std::string("relative"),
        "/" + std::string(90, 'x')}) {
    setenv("XDG_RUNTIME_DIR", parent.c_str(), /*overwrite=*/1);
    const auto folder = RuntimeFolder::Make();
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_THAT((*folder)->PathOf("a"), StartsWith("/tmp/"));
  }
}

}  // namespace
}  // namespace tandem::cli
