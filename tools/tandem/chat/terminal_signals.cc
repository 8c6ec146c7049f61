#include "tools/tandem/chat/terminal_signals.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engine/base/check.h"

namespace tandem::cli {

TerminalSignals::TerminalSignals() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGWINCH, SIGCONT}) {
    sigaddset(&taken, signal);
  }
  TANDEM_CHECK(pthread_sigmask(SIG_BLOCK, &taken, &mask_before_) == 0);
  signals_ = Descriptor(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  TANDEM_CHECK(signals_.is_open());
}

TerminalSignals::~TerminalSignals() {
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

std::vector<int> TerminalSignals::Take() {
  std::vector<int> came;
  signalfd_siginfo info;
  while (read(signals_.number(), &info, sizeof(info)) == sizeof(info)) {
    came.push_back(static_cast<int>(info.ssi_signo));
  }
  return came;
}

}  // namespace tandem::cli
