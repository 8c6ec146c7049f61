#include "tools/tandem/up/state_home.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

TEST(StatePathTest, IsInTheUsersStateFolder) {
  const char* home = getenv("HOME");
  const std::string home_before = home == nullptr ? "" : home;
  setenv("XDG_STATE_HOME", "/state", /*overwrite=*/1);
  EXPECT_EQ(StatePath("up.log"), "/state/tandem/up.log");
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/a", /*overwrite=*/1);
  EXPECT_EQ(StatePath("up.log"), "/home/a/.local/state/tandem/up.log");
  unsetenv("HOME");
  EXPECT_EQ(StatePath("up.log"), "");
  if (home != nullptr) setenv("HOME", home_before.c_str(), /*overwrite=*/1);
}

TEST(MakePrivateFolderTest, IsForTheUserAlone) {
  const std::string above =
      absl::StrCat(::testing::TempDir(), "state_home_test_", getpid());
  const std::string folder = above + "/tandem/sessions";
  EXPECT_FALSE(MakePrivateFolder(folder));
  EXPECT_FALSE(MakePrivateFolder(folder)) << "it is there";
  EXPECT_FALSE(MakePrivateFolder(""));
  for (const std::string& made : {above, above + "/tandem", folder}) {
    struct stat info;
    ASSERT_EQ(stat(made.c_str(), &info), 0) << made;
    EXPECT_EQ(info.st_mode & 0777, 0700u) << made;
  }
  std::ofstream(above + "/file") << "x";
  EXPECT_TRUE(MakePrivateFolder(above + "/file/below"));
  std::filesystem::remove_all(above);
}

}  // namespace
}  // namespace tandem::cli
