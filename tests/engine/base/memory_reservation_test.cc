#include "engine/base/memory_reservation.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/descriptor.h"
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
  pid_t StartOther(int64_t bytes, const std::vector<GroupMemory>& groups) {
    int ready[2];
    TANDEM_CHECK(pipe(ready) == 0);
    const pid_t other = fork();
    if (other == 0) {
      auto reservation = MemoryReservation::Open(folder_);
      const Descriptor lock = (*reservation)->LockFolder();
      const bool done = (*reservation)->Reserve(bytes, groups).ok();
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
  EXPECT_EQ(own->ReadOthers({}).unused_bytes, 0);
  const pid_t other = StartOther(5 * kGiB, {});
  ReservedByOthers others = own->ReadOthers({});
  EXPECT_EQ(others.processes, 1);
  EXPECT_LE(others.unused_bytes, 5 * kGiB) << "less what it holds";
  EXPECT_GT(others.unused_bytes, 4 * kGiB);
  Kill(other);
  others = own->ReadOthers({});
  EXPECT_EQ(others.processes, 0);
  EXPECT_EQ(others.unused_bytes, 0);
}

TEST_F(MemoryReservationTest, TheOwnOneDoesNotCountAndGoes) {
  {
    const std::unique_ptr<MemoryReservation> own = Open();
    ASSERT_TRUE(own->Reserve(kGiB, {{.id = "10:20"}}).ok());
    ASSERT_TRUE(own->Reserve(1, {}).ok()) << "a shorter line";
    EXPECT_EQ(own->ReadOthers({}).processes, 0);
    EXPECT_FALSE(std::filesystem::is_empty(folder_));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

// Worker 1 is in /a/x and worker 2 in /a/y, which has no limit of its own:
// what the first reserves counts for /a too, and for no other group.
TEST_F(MemoryReservationTest, AReservationCountsForEveryGroupAround) {
  system_.SetGroup2("/a", 4 * kGiB);
  system_.SetGroup2("/ab", 4 * kGiB);
  const GroupMemory beside = ReadGroupMemory(system_.root()).at(0);
  system_.SetGroup2("/a/x", 3 * kGiB);
  const std::vector<GroupMemory> first = ReadGroupMemory(system_.root());
  ASSERT_EQ(first.size(), 2u);
  system_.Write("/proc/self/cgroup", "0::/a/y\n");
  std::vector<GroupMemory> second = ReadGroupMemory(system_.root());
  ASSERT_EQ(second.size(), 1u);
  second.push_back(beside);
  second.push_back(first[0]);
  second.push_back({.group = "/unknown"});

  const std::unique_ptr<MemoryReservation> own = Open();
  const pid_t other = StartOther(2 * kGiB, first);
  const ReservedByOthers others = own->ReadOthers(absl::MakeSpan(second));
  EXPECT_GT(others.unused_bytes, kGiB);
  EXPECT_EQ(second[0].reserved_bytes, others.unused_bytes);
  EXPECT_EQ(second[1].reserved_bytes, 0) << second[1].group;
  EXPECT_EQ(second[2].reserved_bytes, others.unused_bytes);
  EXPECT_EQ(second[3].reserved_bytes, 0) << "has no id";
  Kill(other);
}

// Containers that share the folder: each is process number 1 of its own
// namespace, so neither the number nor what /proc says of it means anything in
// the other.
TEST_F(MemoryReservationTest, AProcessOfAnotherContainerCountsInFull) {
  const std::unique_ptr<MemoryReservation> own = Open();
  ASSERT_TRUE(own->Reserve(kGiB, {}).ok());
  const std::string name = folder_ + "/process-1-7";
  system_.Write("/reservations/process-1-7",
                absl::StrCat(getpid(), " 1 123456789 -\n"));
  ASSERT_EQ(chmod(name.c_str(), 0600), 0);
  const Descriptor file(open(name.c_str(), O_RDONLY));
  ASSERT_EQ(flock(file.number(), LOCK_EX), 0) << "its process lives";
  const ReservedByOthers others = own->ReadOthers({});
  EXPECT_EQ(others.processes, 1);
  EXPECT_EQ(others.unused_bytes, 123456789);
}

TEST_F(MemoryReservationTest, OneReadsAndReservesAtATime) {
  const std::unique_ptr<MemoryReservation> a = Open();
  const std::unique_ptr<MemoryReservation> b = Open();
  Descriptor lock = a->LockFolder();
  EXPECT_TRUE(lock.is_open());
  EXPECT_FALSE(b->LockFolder().is_open()) << "after a second";
  lock = Descriptor();
}

TEST_F(MemoryReservationTest, ForeignFilesAreNotFollowed) {
  const std::unique_ptr<MemoryReservation> own = Open();
  const std::string victim = system_.root() + "/victim";
  system_.Write("/victim", "1 1 1000000 -\n");
  std::filesystem::create_symlink(victim, folder_ + "/process-1-0");
  std::filesystem::create_symlink(victim, folder_ + "/lock");
  ASSERT_EQ(mkfifo((folder_ + "/process-2-0").c_str(), 0600), 0);
  EXPECT_EQ(own->ReadOthers({}).processes, 0);
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
