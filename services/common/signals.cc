#include "services/common/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "engine/base/check.h"
#include "services/common/server_flags.h"

namespace tandem {
namespace {

// Added to the eventfd: the low half counts requests, the high half stops.
constexpr uint64_t kWake = 1;
constexpr uint64_t kStop = uint64_t{1} << 32;

void Send(int event_fd, uint64_t command) {
  const ssize_t written = write(event_fd, &command, sizeof(command));
  TANDEM_CHECK(written == sizeof(command));
}

}  // namespace

ShutdownSignal::ShutdownSignal() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  TANDEM_CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  event_fd_ = eventfd(0, EFD_CLOEXEC);
  TANDEM_CHECK(signal_fd_ >= 0 && event_fd_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

ShutdownSignal::~ShutdownSignal() {
  Send(event_fd_, kStop);
  thread_.join();
  close(signal_fd_);
  close(event_fd_);
}

void ShutdownSignal::Request() { Send(event_fd_, kWake); }

void ShutdownSignal::Run() {
  while (true) {
    pollfd fds[2] = {{.fd = signal_fd_, .events = POLLIN, .revents = 0},
                     {.fd = event_fd_, .events = POLLIN, .revents = 0}};
    if (poll(fds, 2, -1) < 0) {
      TANDEM_CHECK(errno == EINTR);
      continue;
    }
    if (fds[1].revents != 0) {
      uint64_t commands = 0;
      if (read(event_fd_, &commands, sizeof(commands)) < 0) continue;
      if (commands >= kStop) return;
      if (!requested_.HasBeenNotified()) requested_.Notify();
    }
    if (fds[0].revents != 0) {
      signalfd_siginfo info;
      if (read(signal_fd_, &info, sizeof(info)) < 0) continue;
      if (requested_.HasBeenNotified()) _exit(kExitFailed);
      requested_.Notify();
    }
  }
}

}  // namespace tandem
