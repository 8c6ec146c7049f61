#include "services/common/process_exit.h"

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
