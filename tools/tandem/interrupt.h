// Ctrl-C as a callback. While an InterruptWatcher stands, SIGINT and SIGTERM
// are blocked in its thread and in threads started later, and the first one
// calls `on_interrupt` from a thread of its own; a second one ends the process.
// Make it before the threads of a channel exist; one at a time.

#ifndef TANDEM_TOOLS_TANDEM_INTERRUPT_H_
#define TANDEM_TOOLS_TANDEM_INTERRUPT_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

namespace tandem::cli {

class InterruptWatcher {
 public:
  explicit InterruptWatcher(std::function<void()> on_interrupt);
  // Stops watching; on_interrupt has returned or is not called any more.
  ~InterruptWatcher();

  InterruptWatcher(const InterruptWatcher&) = delete;
  InterruptWatcher& operator=(const InterruptWatcher&) = delete;

  bool interrupted() const { return interrupted_.load(); }

 private:
  void Watch();

  const std::function<void()> on_interrupt_;
  std::atomic<bool> interrupted_{false};
  sigset_t previous_mask_;
  int signal_fd_ = -1;
  int stop_fd_ = -1;
  std::thread thread_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_INTERRUPT_H_
