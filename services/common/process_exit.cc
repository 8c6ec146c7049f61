#include "services/common/process_exit.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

namespace tandem {

void EndProcess(int code) {
  std::cout.flush();
  std::cerr.flush();
  (void)fflush(nullptr);
  spdlog::default_logger()->flush();
#if defined(__SANITIZE_ADDRESS__)
  __lsan_do_leak_check();  // else an exit handler does it
#endif
  _exit(code);
}

}  // namespace tandem
