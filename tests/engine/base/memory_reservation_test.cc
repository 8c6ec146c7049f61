#include "engine/base/memory_reservation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "engine/base/check.h"
#include "tests/engine/base/fake_system.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class MemoryReservationTest : public ::testing::Test {
 protected:
  std::unique_ptr<MemoryReservation> Open() {
    absl::StatusOr<std::unique_ptr<MemoryReservation>> opened =
        MemoryReservation::Open(folder_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }

  // Another process that reserves, until it is killed.
  pid_t StartOther(int64_t bytes, const std::string& group) {
    int ready[2];
    TANDEM_CHECK(pipe(ready) == 0);
    const pid_t other = fork();
    if (other == 0) {
      auto reservation = MemoryReservation::Open(folder_);
      const FileHandle lock = (*reservation)->LockFolder();
      const bool done = (*reservation)->Reserve(bytes, group).ok();
      (void)!write(ready[1], done ? "y" : "n", 1);
      while (true) pause();
    }
    char answer = 0;
    TANDEM_CHECK(read(ready[0], &answer, 1) == 1 && answer == 'y');
    close(ready[0]);
    close(ready[1]);
    return other;
  }
  static void Kill(pid_t other) {
    kill(other, SIGKILL);
    waitpid(other, nullptr, 0);
  }

  const FakeSystem system_;
  const std::string folder_ = system_.root() + "/reservations";
};

// The lock of a process that dies is freed by the kernel: what it had reserved
// counts no more.
TEST_F(MemoryReservationTest, ProcessesKnowOfEachOtherWhileTheyLive) {
  const std::unique_ptr<MemoryReservation> own = Open();
  EXPECT_EQ(own->ReadOthers("").unused_bytes, 0);
  const pid_t other = StartOther(5 * kGiB, "/group a");
  ReservedByOthers others = own->ReadOthers("/group a");
  EXPECT_EQ(others.processes, 1);
  EXPECT_LE(others.unused_bytes, 5 * kGiB) << "less what it holds";
  EXPECT_GT(others.unused_bytes, 4 * kGiB);
  EXPECT_EQ(others.group_unused_bytes, others.unused_bytes);
  EXPECT_EQ(own->ReadOthers("/other").group_unused_bytes, 0);
  Kill(other);
  others = own->ReadOthers("");
  EXPECT_EQ(others.processes, 0);
  EXPECT_EQ(others.unused_bytes, 0);
}

TEST_F(MemoryReservationTest, TheOwnOneDoesNotCountAndGoes) {
  {
    const std::unique_ptr<MemoryReservation> own = Open();
    ASSERT_TRUE(own->Reserve(kGiB, "a group with a name").ok());
    ASSERT_TRUE(own->Reserve(1, "").ok()) << "a shorter line";
    EXPECT_EQ(own->ReadOthers("").processes, 0);
    EXPECT_FALSE(std::filesystem::is_empty(folder_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(MemoryReservationTest, OneReadsAndReservesAtATime) {
  const std::unique_ptr<MemoryReservation> a = Open();
  const std::unique_ptr<MemoryReservation> b = Open();
  FileHandle lock = a->LockFolder();
  EXPECT_TRUE(lock.is_open());
  EXPECT_FALSE(b->LockFolder().is_open()) << "after a second";
  lock = FileHandle();
}

TEST_F(MemoryReservationTest, ForeignFilesAreNotFollowed) {
  const std::unique_ptr<MemoryReservation> own = Open();
  const std::string victim = system_.root() + "/victim";
  system_.Write("/victim", "1 1000000 -\n");
  std::filesystem::create_symlink(victim, folder_ + "/process-1-0");
  std::filesystem::create_symlink(victim, folder_ + "/lock");
  ASSERT_EQ(mkfifo((folder_ + "/process-2-0").c_str(), 0600), 0);
  EXPECT_EQ(own->ReadOthers("").processes, 0);
  EXPECT_FALSE(own->LockFolder().is_open());
  EXPECT_TRUE(std::filesystem::exists(victim));
}

TEST_F(MemoryReservationTest, AFolderThatOthersMayWriteIsNotUsed) {
  std::filesystem::create_directory(folder_);
  ASSERT_EQ(chmod(folder_.c_str(), 0777), 0);
  const absl::Status open = MemoryReservation::Open(folder_).status();
  EXPECT_EQ(open.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(open.message()), HasSubstr(folder_));
  ASSERT_EQ(chmod(folder_.c_str(), 0700), 0);
  EXPECT_TRUE(MemoryReservation::Open(folder_).ok());
  std::filesystem::create_directory_symlink(folder_, folder_ + "-link");
  EXPECT_FALSE(MemoryReservation::Open(folder_ + "-link").ok());
  EXPECT_FALSE(MemoryReservation::Open("/proc/no-such").ok());
  system_.Write("/file", "");
  EXPECT_FALSE(MemoryReservation::Open(system_.root() + "/file").ok());
}

TEST_F(MemoryReservationTest, TheFolderIsTheUsers) {
  const char* const before = std::getenv("XDG_RUNTIME_DIR");
  const std::string saved = before == nullptr ? "" : before;
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(MemoryReservation::DefaultFolder(), "/run/user/7/tandem-memory");
  setenv("XDG_RUNTIME_DIR", "relative", 1);
  EXPECT_EQ(MemoryReservation::DefaultFolder(),
            absl::StrCat("/tmp/tandem-memory-", geteuid()));
  if (before == nullptr) {
    unsetenv("XDG_RUNTIME_DIR");
  } else {
    setenv("XDG_RUNTIME_DIR", saved.c_str(), 1);
  }
}

TEST_F(MemoryReservationTest, ResidentBytes) {
  EXPECT_GT(ResidentBytes(0), 0);
  EXPECT_GT(ResidentBytes(getpid()), 0);
  EXPECT_EQ(ResidentBytes(0, system_.root()), 0);
}

}  // namespace
}  // namespace tandem
