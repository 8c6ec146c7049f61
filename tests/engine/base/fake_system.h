// A folder with files of /proc and /sys/fs/cgroup as a test wants them, for
// what reads those below a root. Owned by one test.

#ifndef TANDEM_TESTS_ENGINE_BASE_FAKE_SYSTEM_H_
#define TANDEM_TESTS_ENGINE_BASE_FAKE_SYSTEM_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tandem {

inline constexpr int64_t kGiB = int64_t{1} << 30;
inline constexpr int64_t kMiB = int64_t{1} << 20;

class FakeSystem {
 public:
  FakeSystem()
      : root_(absl::StrCat(
            ::testing::TempDir(), "/fake_system_", getpid(), "_",
            ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~FakeSystem() { std::filesystem::remove_all(root_); }

  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  const std::string& root() const { return root_; }

  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << text;
  }

  // A machine with so much memory that can be taken.
  void SetAvailable(int64_t bytes) const {
    Write("/proc/meminfo",
          absl::StrCat("MemTotal:       99999999 kB\nMemFree:  1 kB\n",
                       "MemAvailable:   ", bytes >> 10, " kB\n"));
  }

  // This process alone in group `path` of version 2, with such a limit.
  void SetGroup2(const std::string& path, int64_t limit_bytes) const {
    Write("/proc/self/mountinfo",
          "30 25 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
    Write("/proc/self/cgroup", absl::StrCat("0::", path, "\n"));
    Write("/proc/self/stat", "77 (worker) S 1\n");
    const std::string group = absl::StrCat("/sys/fs/cgroup", path);
    Write(group + "/cgroup.procs", "77\n");
    Write(group + "/memory.max", absl::StrCat(limit_bytes, "\n"));
    Write(group + "/memory.current", "0\n");
  }

 private:
  const std::string root_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_BASE_FAKE_SYSTEM_H_
