#include "engine/base/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "engine/base/descriptor.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() { fs::create_directory(folder_); }
  ~OutputFileTest() override { fs::remove_all(folder_); }

  static absl::Status WriteTo(const std::string& path,
                              const std::string& text) {
    auto file = OutputFile::Create(path);
    if (!file.ok()) return file.status();
    const absl::Status status = (*file)->Append(text);
    return status.ok() ? (*file)->Commit() : status;
  }
  static std::string Read(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  std::string Path(const std::string& name) const {
    return folder_ + "/" + name;
  }
  // Names in the folder, ascending.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void ExpectRefused(const std::string& name, const std::string& what) {
    const absl::Status status = WriteTo(Path(name), "new");
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(Path(name) + ": is " + what));
  }

  const std::string folder_ =
      ::testing::TempDir() + "/output_file_test_" + std::to_string(getpid());
};

TEST_F(OutputFileTest, AppearsWhenItIsWhole) {
  auto file = OutputFile::Create(Path("a"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append("one ").ok());
  EXPECT_FALSE(fs::exists(Path("a")));
  ASSERT_TRUE((*file)->Append("two").ok());
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(Read(Path("a")), "one two");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
  struct stat info;
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

// So a process that is killed leaves nothing behind, where the file system has
// files without a name.
TEST_F(OutputFileTest, HasNoNameBeforeItIsWhole) {
  const int probe = open(folder_.c_str(), O_WRONLY | O_TMPFILE, 0600);
  if (probe < 0) GTEST_SKIP() << "no files without a name in " << folder_;
  (void)close(probe);
  auto file = OutputFile::Create(Path("a"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->Append("one").ok());
  EXPECT_TRUE(Names().empty());
}

TEST_F(OutputFileTest, ReplacesAFileAndKeepsItsPermissions) {
  std::ofstream(Path("a")) << "old and longer";
  ASSERT_EQ(chmod(Path("a").c_str(), 0600), 0);
  ASSERT_TRUE(WriteTo(Path("a"), "new").ok());
  EXPECT_EQ(Read(Path("a")), "new");
  struct stat info;
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(OutputFileTest, KeepsOwnerAndGroupOfTheFileThatItReplaces) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives files to others";
  std::ofstream(Path("a")) << "old";
  ASSERT_EQ(chown(Path("a").c_str(), 12345, 54321), 0);
  ASSERT_EQ(chmod(Path("a").c_str(), 0640), 0);
  ASSERT_TRUE(WriteTo(Path("a"), "new").ok());
  struct stat info;
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 12345u);
  EXPECT_EQ(info.st_gid, 54321u);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

// The old file's group is not this user's: another group is not to read what
// only that one could.
TEST_F(OutputFileTest, AGroupThatCanNotBeKeptLosesItsPermissions) {
  if (geteuid() != 0) GTEST_SKIP() << "only root becomes another user";
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  std::ofstream(Path("a")) << "old";
  ASSERT_EQ(chown(Path("a").c_str(), 12345, 54321), 0);
  ASSERT_EQ(chmod(Path("a").c_str(), 0664), 0);
  const pid_t child = fork();
  if (child == 0) {
    const bool other =
        setgroups(0, nullptr) == 0 && setgid(12345) == 0 && setuid(12345) == 0;
    _exit(other && WriteTo(Path("a"), "new").ok() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  struct stat info;
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, 12345u);
  EXPECT_EQ(info.st_mode & 0777, 0644u);
}

TEST_F(OutputFileTest, TwoWritersOfOneFileDoNotDisturbEachOther) {
  auto first = OutputFile::Create(Path("a"));
  ASSERT_TRUE(first.ok()) << first.status();
  auto second = OutputFile::Create(Path("a"));
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_TRUE((*first)->Append("first").ok());
  ASSERT_TRUE((*second)->Append("second").ok());
  EXPECT_TRUE((*first)->Commit().ok());
  EXPECT_EQ(Read(Path("a")), "first");
  EXPECT_TRUE((*second)->Commit().ok());
  EXPECT_EQ(Read(Path("a")), "second");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

TEST_F(OutputFileTest, LeavesWhatWasThereWhereItIsNotFinished) {
  std::ofstream(Path("a")) << "old";
  {
    auto file = OutputFile::Create(Path("a"));
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_TRUE((*file)->Append("new").ok());
  }
  EXPECT_EQ(Read(Path("a")), "old");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

TEST_F(OutputFileTest, WritesTheFileThatALinkNames) {
  fs::create_directory(Path("sub"));
  std::ofstream(Path("sub/real")) << "old";
  fs::create_symlink("sub/real", Path("link"));
  fs::create_symlink("link", Path("second"));
  ASSERT_TRUE(WriteTo(Path("second"), "new").ok());
  EXPECT_EQ(Read(Path("sub/real")), "new");
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_TRUE(fs::is_symlink(Path("second")));
  fs::create_symlink("nothing", Path("broken"));
  ExpectRefused("broken", "a symbolic link that leads nowhere");
  EXPECT_FALSE(fs::exists(Path("nothing")));
}

// A rename over them would put a regular file in their place; over /dev/null,
// for the whole machine.
TEST_F(OutputFileTest, RefusesWhatIsNoRegularFile) {
  fs::create_directory(Path("folder"));
  ExpectRefused("folder", "a directory");
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  ExpectRefused("fifo", "a FIFO");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, Path("socket").c_str());
  const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(bind(socket.number(), reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)),
            0);
  ExpectRefused("socket", "a socket");
  fs::create_symlink("/dev/null", Path("device"));
  ExpectRefused("device", "a device");
  fs::create_symlink("fifo", Path("to-fifo"));
  ExpectRefused("to-fifo", "a FIFO");
  EXPECT_EQ(Names(), (std::vector<std::string>{"device", "fifo", "folder",
                                               "socket", "to-fifo"}));
  EXPECT_TRUE(fs::is_fifo(Path("fifo")));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST_F(OutputFileTest, SaysWhatTheSystemSays) {
  const absl::Status status = WriteTo("/nonexistent/a", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            "/nonexistent/a: cannot be written: No such file or directory");
}

// As on a full disk: the write fails half way. (A limit on the size of files
// stands for the disk, which a test can not fill.)
TEST_F(OutputFileTest, AWriteThatFailsLeavesTheOldFileAlone) {
  std::ofstream(Path("a")) << "old";
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
  const rlimit small = {.rlim_cur = 100000, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = WriteTo(Path("a"), std::string(200000, 'x'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            Path("a") + ": cannot be written: File too large");
  EXPECT_EQ(Read(Path("a")), "old");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

}  // namespace
}  // namespace tandem
