#include "services/common/process_exit.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "services/common/server_flags.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace tandem {

void BeginProcess() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    // The lowest number that is free, which is this one.
    (void)open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  (void)signal(SIGXFSZ, SIG_IGN);
}

void EndProcess(int code) {
  const bool is_written = std::cout.flush().good() && fflush(stdout) == 0;
  if (!is_written && code == kExitOk) {
    std::cerr << program_invocation_short_name
              << ": cannot write to standard output\n";
    code = kExitFailed;
  }
  std::cerr.flush();
  (void)fflush(nullptr);
  spdlog::default_logger()->flush();
#if defined(__SANITIZE_ADDRESS__)
  __lsan_do_leak_check();  // else an exit handler does it
#endif
  _exit(code);
}

}  // namespace tandem
