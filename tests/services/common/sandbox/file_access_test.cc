#include "services/common/sandbox/file_access.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

#include "services/common/sandbox/privileges.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// 0, or the error of opening.
int ErrorOfOpening(const std::string& path, int flags) {
  const int file = open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file < 0) return errno;
  close(file);
  return 0;
}

class FileAccessDeathTest : public ::testing::Test {
 protected:
  FileAccessDeathTest() {
    for (const char* folder : {"readable/below", "writable", "other"}) {
      fs::create_directories(root_ / folder);
    }
    for (const char* file : {"readable/file", "readable/below/file",
                             "writable/file", "other/file", "alone"}) {
      std::ofstream(root_ / file) << "x";
    }
    fs::create_symlink(root_ / "other/file", root_ / "readable/link");
  }
  ~FileAccessDeathTest() override { fs::remove_all(root_); }

  void SetUp() override {
    if (syscall(SYS_landlock_create_ruleset, nullptr, size_t{0},
                LANDLOCK_CREATE_RULESET_VERSION) < 1) {
      GTEST_SKIP() << "no Landlock here";
    }
  }

  std::string Path(const char* name) const { return root_ / name; }

  // In the test's child.
  void Limit(const FileAccess& access) {
    if (!ForbidNewPrivileges().ok() || !LimitFileAccess(access).ok()) _exit(1);
  }
  // In the test's child: its end.
  [[noreturn]] static void End(bool right) { _exit(right ? 0 : 1); }

  const fs::path root_ = fs::path(::testing::TempDir()) /
                         ("file_access_" + std::to_string(getpid()));
};

TEST_F(FileAccessDeathTest, WhatIsNotNamedIsClosed) {
  EXPECT_EXIT(
      {
        Limit({.read = {Path("readable"), Path("alone"), Path("missing"), ""},
               .write = {Path("writable")}});
        End(ErrorOfOpening(Path("readable/file"), O_RDONLY) == 0 &&
            ErrorOfOpening(Path("readable/below/file"), O_RDONLY) == 0 &&
            ErrorOfOpening(Path("alone"), O_RDONLY) == 0 &&
            ErrorOfOpening(Path("readable/file"), O_RDWR) == EACCES &&
            ErrorOfOpening(Path("readable/new"), O_WRONLY | O_CREAT) ==
                EACCES &&
            ErrorOfOpening(Path("readable/link"), O_RDONLY) == EACCES &&
            ErrorOfOpening(Path("other/file"), O_RDONLY) == EACCES &&
            ErrorOfOpening("/etc/passwd", O_RDONLY) == EACCES &&
            unlink(Path("readable/file").c_str()) != 0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(FileAccessDeathTest, FilesAreMadeAndReplacedWhereWritingIs) {
  EXPECT_EXIT(
      {
        Limit({.read = {}, .write = {Path("writable")}});
        const std::string made = Path("writable/new");
        End(ErrorOfOpening(made, O_WRONLY | O_CREAT | O_EXCL) == 0 &&
            rename(made.c_str(), Path("writable/file").c_str()) == 0 &&
            ErrorOfOpening(Path("writable/file"), O_RDWR | O_TRUNC) == 0 &&
            unlink(Path("writable/file").c_str()) == 0 &&
            rename(Path("other/file").c_str(), made.c_str()) != 0 &&
            mkdir(Path("writable/folder").c_str(), 0700) != 0);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(FileAccessDeathTest, NoProgramIsRun) {
  EXPECT_EXIT(
      {
        Limit({.read = {"/"}, .write = {}});
        execl("/bin/true", "true", nullptr);
        End(errno == EACCES);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(FileAccessTest, AFileStandsForItsFolderAndItsTargets) {
  const fs::path root = fs::path(::testing::TempDir()) /
                        ("file_access_beside_" + std::to_string(getpid()));
  fs::create_directories(root / "live");
  fs::create_directories(root / "archive");
  std::ofstream(root / "archive/cert1") << "x";
  fs::create_symlink(root / "archive/cert1", root / "live/cert");
  FileAccess access;
  access.ReadBeside(root / "live/cert");
  access.ReadBeside("");
  access.ReadBeside("missing.pem");
  access.WriteBeside("/no/such/folder/file");
  access.ListenAt("unix:/run/tandem/socket");
  access.ListenAt("127.0.0.1:7070");
  EXPECT_EQ(access.read,
            (std::vector<std::string>{root / "live",
                                      fs::canonical(root / "archive"), "."}));
  EXPECT_EQ(access.write,
            (std::vector<std::string>{"/no/such/folder", "/run/tandem"}));
  fs::remove_all(root);
}

}  // namespace
}  // namespace tandem
