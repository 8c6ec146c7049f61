#include "services/common/sandbox/system_calls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "services/common/sandbox/privileges.h"

namespace tandem {
namespace {

// Each test's child limits itself; 1 where that fails.
void Limit(const SystemCallPolicy& policy) {
  if (!ForbidNewPrivileges().ok() || !LimitSystemCalls(policy).ok()) _exit(1);
}

bool IsRefused(long result) { return result == -1 && errno == EPERM; }

class SystemCallsDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kHasSanitizer) GTEST_SKIP() << "sanitizers make calls of their own";
  }
};

TEST_F(SystemCallsDeathTest, AServerAtWorkIsNotDisturbed) {
  EXPECT_EXIT(
      {
        Limit({.forbidden = Forbidden::kRefused});
        std::atomic<bool> ran = false;
        std::thread([&] {
          pthread_setname_np(pthread_self(), "named");
          ran = true;
        }).join();
        void* const memory = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        const int listener = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address = {};
        address.sin_family = AF_INET;
        struct stat info;
        rlimit limit;
        const int in_memory = memfd_create("test", 0);
        const bool right =
            ran && in_memory >= 0 && futimens(in_memory, nullptr) == 0 &&
            memory != MAP_FAILED && listener >= 0 &&
            bind(listener, reinterpret_cast<sockaddr*>(&address),
                 sizeof(address)) == 0 &&
            listen(listener, 1) == 0 &&
            std::ifstream("/proc/self/status").get() != EOF &&
            stat("/proc", &info) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0;
        _exit(right ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "^$");
}

// Answered by the kernel, whatever the processor has.
TEST_F(SystemCallsDeathTest, TheTilesOfAmxMayBeAskedFor) {
  EXPECT_EXIT(
      {
        Limit({.forbidden = Forbidden::kRefused});
        uint64_t given = 0;
        constexpr int kTileData = 18;
        const bool is_refused =
            IsRefused(syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &given)) ||
            IsRefused(syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, kTileData));
        _exit(is_refused ? 1 : 0);
      },
      ::testing::ExitedWithCode(0), "^$");
}

TEST_F(SystemCallsDeathTest, OtherCallsAreRefusedWithALine) {
  EXPECT_EXIT(
      {
        Limit({.forbidden = Forbidden::kRefused});
        const bool right =
            IsRefused(mkdir("/tmp/no", 0700)) && IsRefused(fork()) &&
            IsRefused(open("/dev/null", O_WRONLY)) &&
            IsRefused(open("/dev/null", O_RDONLY | O_TRUNC)) &&
            IsRefused(utimensat(AT_FDCWD, "/dev/null", nullptr, 0)) &&
            IsRefused(socket(AF_PACKET, SOCK_RAW, 0)) &&
            IsRefused(socket(AF_NETLINK, SOCK_RAW, 2)) &&
            IsRefused(ioctl(0, TIOCSTI, "x")) &&
            IsRefused(kill(getppid(), SIGTERM)) &&
            IsRefused(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)) &&
            IsRefused(syscall(SYS_arch_prctl, ARCH_SET_GS, 0)) &&
            IsRefused(ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)) &&
            IsRefused(execl("/bin/true", "true", nullptr)) &&
            IsRefused(connect(0, nullptr, 0));
        _exit(right ? 0 : 1);
      },
      ::testing::ExitedWithCode(0),
      "sandbox: refused system call number 83 \\(EPERM\\); --sandbox off");
}

TEST_F(SystemCallsDeathTest, LinesAreLimitedAndMayBeJson) {
  EXPECT_EXIT(
      {
        Limit({.forbidden = Forbidden::kRefused, .line = RefusalLine::kJson});
        for (int i = 0; i < 10 * kRefusalLinesMax; ++i) {
          if (!IsRefused(mkdir("/tmp/no", 0700))) _exit(1);
        }
        _exit(0);
      },
      ::testing::ExitedWithCode(0),
      "^(\\{\"level\":\"warning\",\"message\":\"sandbox: refused system call "
      "number 83 \\(EPERM\\); --sandbox off turns the sandbox "
      "off\"\\}\n){16}$");
}

TEST_F(SystemCallsDeathTest, ForbiddenCallsEndTheProcess) {
  EXPECT_EXIT(
      {
        Limit({});
        execl("/bin/true", "true", nullptr);
        _exit(0);
      },
      ::testing::KilledBySignal(SIGSYS), "^$");
  EXPECT_EXIT(
      {
        Limit({});
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        _exit(0);
      },
      ::testing::KilledBySignal(SIGSYS), "^$");
}

TEST_F(SystemCallsDeathTest, ThePolicyAddsConnectingAndWriting) {
  EXPECT_EXIT(
      {
        Limit({.forbidden = Forbidden::kRefused,
               .connects = true,
               .writes_files = true});
        const bool right = connect(-1, nullptr, 0) != 0 && errno == EBADF &&
                           open("/dev/null", O_WRONLY) >= 0 &&
                           fchown(-1, 0, 0) != 0 && errno == EBADF;
        _exit(right ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "^$");
}

// Threads that run already are limited too.
TEST_F(SystemCallsDeathTest, AllThreadsAreLimited) {
  EXPECT_EXIT(
      {
        std::atomic<bool> is_limited = false;
        std::atomic<bool> refused = false;
        std::thread early([&] {
          while (!is_limited) std::this_thread::yield();
          refused = IsRefused(mkdir("/tmp/no", 0700));
        });
        Limit({.forbidden = Forbidden::kRefused});
        is_limited = true;
        early.join();
        _exit(refused ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(SystemCallsDeathTest, AbortingIsPossible) {
  EXPECT_EXIT(
      {
        Limit({});
        abort();
      },
      ::testing::KilledBySignal(SIGABRT), "^$");
}

}  // namespace
}  // namespace tandem
