// SIGTERM and SIGINT as an event, for servers and for the command line. While
// a SignalWatcher stands, both signals are blocked in its maker's thread and in
// threads that are started later: make it before any other thread.
//
// The first signal (or Request) wakes Wait; a second signal ends the process at
// once, whatever the process is doing. One watcher at a time.

#ifndef TANDEM_SERVICES_COMMON_SIGNALS_H_
#define TANDEM_SERVICES_COMMON_SIGNALS_H_

#include <signal.h>

#include <functional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace tandem {

struct SignalOptions {
  // Called by the watcher's thread at the first signal; may be empty.
  std::function<void()> on_first = {};
  // What a second signal ends the process with.
  int second_exit_code = 1;
};

class SignalWatcher {
 public:
  explicit SignalWatcher(SignalOptions options = {});
  // Stops watching: on_first has returned or is not called any more.
  ~SignalWatcher();

  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // Any thread: whether the first signal or Request has come.
  bool came() const { return came_.HasBeenNotified(); }
  // Until the first signal or Request.
  void Wait() { came_.WaitForNotification(); }
  // True when it came within `timeout`.
  bool WaitFor(absl::Duration timeout) {
    return came_.WaitForNotificationWithTimeout(timeout);
  }
  // As if the first signal had come; for a server that can not go on. Any
  // thread.
  void Request();

 private:
  void Run();

  const SignalOptions options_;
  absl::Notification came_;
  sigset_t mask_before_;
  int signal_fd_ = -1;
  int event_fd_ = -1;  // commands to the thread: kWake, kStop
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SIGNALS_H_
