#include "services/common/process_exit.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace tandem {
namespace {

TEST(ProcessExitDeathTest, RunsNoExitHandler) {
  EXPECT_EXIT(
      {
        std::atexit([] { std::abort(); });
        OPENSSL_atexit([] { std::abort(); });
        EndProcess(3);
      },
      ::testing::ExitedWithCode(3), "");
}

TEST(ProcessExitDeathTest, WritesOutWhatIsBuffered) {
  EXPECT_EXIT(
      {
        setvbuf(stderr, nullptr, _IOFBF, 1 << 16);
        std::fputs("by stdio ", stderr);
        std::cerr << std::nounitbuf << "by streams";
        EndProcess(0);
      },
      ::testing::ExitedWithCode(0), "by stdio by streams");
}

// As on a full disk.
void EndWithFullOutput(int code) {
  std::freopen("/dev/full", "w", stdout);
  std::cout << "lost";
  EndProcess(code);
}

TEST(ProcessExitDeathTest, OutputThatIsLostIsAFailure) {
  EXPECT_EXIT(EndWithFullOutput(0), ::testing::ExitedWithCode(1),
              "services_common_test: cannot write to standard output");
  EXPECT_EXIT(EndWithFullOutput(3), ::testing::ExitedWithCode(3), "^$");
}

}  // namespace
}  // namespace tandem
