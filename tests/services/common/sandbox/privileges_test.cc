#include "services/common/sandbox/privileges.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

constexpr uint64_t kNetBindService = uint64_t{1} << 10;

// A set of capabilities of this process, by its name in /proc.
uint64_t Capabilities(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view text = line;
    if (!absl::ConsumePrefix(&text, absl::StrCat(name, ":\t"))) continue;
    return std::stoull(std::string(text), nullptr, 16);
  }
  return ~uint64_t{0};
}

// What is given up is given up for good, so each test does it in a child, which
// ends with 0 where all is as it should be.
TEST(PrivilegesDeathTest, CapabilitiesAreGoneButForLowPorts) {
  EXPECT_EXIT(
      {
        const uint64_t before = Capabilities("CapPrm");
        const uint64_t others = Capabilities("CapBnd");
        const bool done = DropCapabilities().ok();
        const bool right =
            Capabilities("CapPrm") == (before & kNetBindService) &&
            Capabilities("CapEff") == (before & kNetBindService) &&
            Capabilities("CapInh") == 0 && Capabilities("CapAmb") == 0 &&
            // Only a process that has some may change what others get.
            (before == 0 ||
             Capabilities("CapBnd") == (others & kNetBindService));
        _exit(done && right && DropCapabilities().ok() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(PrivilegesDeathTest, ThereAreNoNewPrivileges) {
  EXPECT_EXIT(
      {
        const bool done = ForbidNewPrivileges().ok();
        _exit(done && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// A process reads what /proc says of itself all the same, as any user.
TEST(PrivilegesDeathTest, CoreDumpsAreOffAndProcIsReadable) {
  EXPECT_EXIT(
      {
        if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
        rlimit limit;
        const bool done = ForbidCoreDumps().ok() &&
                          getrlimit(RLIMIT_CORE, &limit) == 0 &&
                          limit.rlim_cur == 0 && limit.rlim_max == 0 &&
                          prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
        const auto readable = [](const char* path) {
          return std::ifstream(path).get() != EOF;
        };
        const bool proc =
            readable("/proc/self/status") && readable("/proc/self/cgroup") &&
            readable("/proc/self/mountinfo") && readable("/proc/self/stat") &&
            access("/proc/self/fd/0", F_OK) == 0 &&
            access("/proc/self/ns/pid", F_OK) == 0;
        _exit(done && proc ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tandem
