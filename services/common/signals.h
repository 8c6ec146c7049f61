// SIGTERM and SIGINT as an event that main waits for. Made first thing in
// main, before any other thread: threads inherit the block.
//
// The first signal (or Request) wakes Wait; a second signal ends the process
// at once with kExitFailed, whatever it is doing.

#ifndef TANDEM_SERVICES_COMMON_SIGNALS_H_
#define TANDEM_SERVICES_COMMON_SIGNALS_H_

#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace tandem {

class ShutdownSignal {
 public:
  ShutdownSignal();
  ~ShutdownSignal();

  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // Until the first signal or Request.
  void Wait() { requested_.WaitForNotification(); }
  // True when it came within `timeout`.
  bool WaitFor(absl::Duration timeout) {
    return requested_.WaitForNotificationWithTimeout(timeout);
  }
  // As if the first signal had come; for a server that can not go on. Any
  // thread.
  void Request();

 private:
  void Run();

  absl::Notification requested_;
  int signal_fd_ = -1;
  int event_fd_ = -1;  // commands to the thread: kWake, kStop
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SIGNALS_H_
