#include "services/coordinator/store/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class StateFolderTest : public ::testing::Test {
 protected:
  StateFolderTest() {
    std::string folder = absl::StrCat(::testing::TempDir(), "/state_XXXXXX");
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    parent_ = folder;
    path_ = absl::StrCat(parent_, "/state");
  }
  ~StateFolderTest() override { std::filesystem::remove_all(parent_); }

  std::string Refusal() const {
    return std::string(StateFolder::Open(path_).status().message());
  }

  std::string parent_;
  std::string path_;
};

TEST_F(StateFolderTest, IsMadeForItsUserAlone) {
  const absl::StatusOr<StateFolder> folder = StateFolder::Open(path_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->path(), path_);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(StateFolderTest, BelongsToOneProcess) {
  {
    const absl::StatusOr<StateFolder> folder = StateFolder::Open(path_);
    ASSERT_TRUE(folder.ok()) << folder.status();
    const absl::Status second = StateFolder::Open(path_).status();
    EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.message()),
                AllOf(StartsWith(path_), HasSubstr("another process")));
  }
  EXPECT_TRUE(StateFolder::Open(path_).ok());
}

TEST_F(StateFolderTest, IsClosedToOthers) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  ASSERT_EQ(chmod(path_.c_str(), 0750), 0);
  EXPECT_EQ(Refusal(), absl::StrCat(path_,
                                    ": others may enter it (mode 750); "
                                    "run: chmod 700 ",
                                    path_));
  ASSERT_EQ(chmod(path_.c_str(), 0700), 0);
  EXPECT_TRUE(StateFolder::Open(path_).ok());
}

TEST_F(StateFolderTest, IsAFolder) {
  std::ofstream(path_).put('x');
  EXPECT_EQ(Refusal(),
            absl::StrCat(path_, ": is a regular file; name a folder"));
  path_ = absl::StrCat(parent_, "/no/state");
  EXPECT_THAT(Refusal(), AllOf(StartsWith(path_), HasSubstr("can not be made"),
                               HasSubstr("No such file or directory")));
}

TEST_F(StateFolderTest, ALockThatIsALinkIsNotFollowed) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);
  std::filesystem::create_symlink("/dev/null", path_ + "/lock");
  EXPECT_THAT(Refusal(), HasSubstr("files can not be made in it"));
}

TEST_F(StateFolderTest, OneThatCanNotBeWrittenIsRefused) {
  if (getuid() == 0) GTEST_SKIP() << "root may write everywhere";
  ASSERT_EQ(mkdir(path_.c_str(), 0500), 0);
  EXPECT_THAT(Refusal(), HasSubstr("files can not be made in it"));
}

}  // namespace
}  // namespace tandem
