#include "services/common/signals.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "engine/base/check.h"

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

SignalWatcher::SignalWatcher(SignalOptions options)
    : options_(std::move(options)) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  if (options_.takes_reload) sigaddset(&signals, SIGHUP);
  TANDEM_CHECK(pthread_sigmask(SIG_BLOCK, &signals, &mask_before_) == 0);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC);
  event_fd_ = eventfd(0, EFD_CLOEXEC);
  TANDEM_CHECK(signal_fd_ >= 0 && event_fd_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

SignalWatcher::~SignalWatcher() {
  Send(event_fd_, kStop);
  thread_.join();
  close(signal_fd_);
  close(event_fd_);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

bool SignalWatcher::came() const {
  absl::MutexLock lock(&mutex_);
  return came_;
}

void SignalWatcher::Wait() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&came_));
}

SignalEvent SignalWatcher::Next() {
  const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return came_ || reload_;
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&any));
  if (came_) return SignalEvent::kStop;
  reload_ = false;
  return SignalEvent::kReload;
}

void SignalWatcher::Request() { Send(event_fd_, kWake); }

void SignalWatcher::Run() {
  while (true) {
    pollfd fds[2] = {{.fd = signal_fd_, .events = POLLIN, .revents = 0},
                     {.fd = event_fd_, .events = POLLIN, .revents = 0}};
    if (poll(fds, 2, -1) < 0) {
      TANDEM_CHECK(errno == EINTR);
      continue;
    }
    uint64_t commands = 0;
    if (fds[1].revents != 0 &&
        read(event_fd_, &commands, sizeof(commands)) < 0) {
      continue;
    }
    if (commands >= kStop) return;
    if (fds[0].revents != 0) {
      signalfd_siginfo info;
      if (read(signal_fd_, &info, sizeof(info)) < 0) continue;
      if (info.ssi_signo == SIGHUP) {
        absl::MutexLock lock(&mutex_);
        reload_ = true;
        if (commands == 0) continue;
      } else if (came()) {
        _exit(options_.second_exit_code);
      }
    }
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(came_, true)) continue;
    }
    if (options_.on_first) options_.on_first();
  }
}

}  // namespace tandem
