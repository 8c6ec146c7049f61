#include "services/common/sandbox/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>

#include "services/common/logging.h"

namespace tandem {
namespace {

ServerFlags FlagsOf(const std::string& sandbox) {
  ServerFlags flags;
  flags.sandbox = sandbox;
  flags.listen = "127.0.0.1:0";
  return flags;
}

class SandboxDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kHasSanitizer) GTEST_SKIP() << "off";
  }
};

TEST_F(SandboxDeathTest, LimitsFilesAndThenSystemCalls) {
  EXPECT_EXIT(
      {
        InitLogging("text", "info");
        const std::string folder = ::testing::TempDir();
        const std::string file =
            folder + "/sandbox_test_" + std::to_string(getpid());
        FileAccess access;
        access.WriteBeside(file);
        Sandbox sandbox(FlagsOf("report"), access);
        // Address files are written before the second step.
        const bool first = std::ofstream(file).good() &&
                           unlink(file.c_str()) == 0 &&
                           prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 &&
                           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
        sandbox.Seal({});
        const bool second = open(file.c_str(), O_WRONLY | O_CREAT, 0600) < 0 &&
                            mkdir(file.c_str(), 0700) < 0 && errno == EPERM &&
                            std::ifstream("/proc/self/status").good();
        _exit(first && second ? 0 : 1);
      },
      ::testing::ExitedWithCode(0),
      "sandbox: (files and system calls are limited|incomplete: no Landlock "
      "here)(.|\n)*refused system call number 83 ");
}

TEST_F(SandboxDeathTest, OffAndCoreDumpsAreAskedFor) {
  EXPECT_EXIT(
      {
        InitLogging("text", "info");
        ServerFlags flags = FlagsOf("off");
        flags.core_dumps = true;
        Sandbox sandbox(flags, {});
        sandbox.Seal({});
        const std::string folder =
            ::testing::TempDir() + "/sandbox_off_" + std::to_string(getpid());
        _exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 &&
                      mkdir(folder.c_str(), 0700) == 0 &&
                      rmdir(folder.c_str()) == 0
                  ? 0
                  : 1);
      },
      ::testing::ExitedWithCode(0), "warning sandbox: off, by --sandbox");
}

TEST_F(SandboxDeathTest, CoreDumpsAreOffWithoutTheSandboxToo) {
  EXPECT_EXIT(
      {
        InitLogging("text", "info");
        const Sandbox sandbox(FlagsOf("off"), {});
        _exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// A thread that is there before would keep all rights.
TEST_F(SandboxDeathTest, ComesBeforeTheFirstThread) {
  EXPECT_DEATH(
      {
        std::thread early([] { pause(); });
        const Sandbox sandbox(FlagsOf("on"), {});
        early.join();
      },
      "check failed");
}

}  // namespace
}  // namespace tandem
