#include "services/common/process_exit.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
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
  if (std::freopen("/dev/full", "w", stdout) == nullptr) _exit(3);
  std::cout << "lost";
  EndProcess(code);
}

TEST(ProcessExitDeathTest, OutputThatIsLostIsAFailure) {
  EXPECT_EXIT(EndWithFullOutput(0), ::testing::ExitedWithCode(1),
              "services_common_test: cannot write to standard output");
  EXPECT_EXIT(EndWithFullOutput(3), ::testing::ExitedWithCode(3), "^$");
}

// A file that is opened later gets none of the numbers of standard streams, and
// output to one that was closed is lost with an error, not written elsewhere.
TEST(ProcessExitDeathTest, ClosedStreamsAreNotReused) {
  EXPECT_EXIT(
      {
        for (const int descriptor : {0, 1, 2}) (void)close(descriptor);
        BeginProcess();
        const int file = open("/dev/null", O_RDONLY);
        char byte = 0;
        const bool fails = read(0, &byte, 1) < 0 && write(1, "x", 1) < 0 &&
                           write(2, "x", 1) < 0;
        _exit(file > 2 && fails ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

// Whether a write beyond the limit of file sizes fails, and only that.
bool TooLargeFilesFail() {
  const rlimit none = {};
  FILE* const file = std::tmpfile();
  return file != nullptr && setrlimit(RLIMIT_FSIZE, &none) == 0 &&
         write(fileno(file), "x", 1) < 0 && errno == EFBIG;
}

TEST(ProcessExitDeathTest, FilesThatAreTooLargeEndNobody) {
  EXPECT_EXIT(
      {
        BeginProcess();
        _exit(TooLargeFilesFail() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tandem
