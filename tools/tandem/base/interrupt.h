// Ctrl-C (or SIGTERM) for what a command has under way: a turn, a run of load.
// Made by the command's thread before the threads of channels and engines
// exist; a second Ctrl-C ends the process.

#ifndef TANDEM_TOOLS_TANDEM_BASE_INTERRUPT_H_
#define TANDEM_TOOLS_TANDEM_BASE_INTERRUPT_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/common/signals.h"

namespace tandem::cli {

class Interrupt {
 public:
  Interrupt();

  // The command's thread. From now on Ctrl-C calls `end`, on a thread of its
  // own; where Ctrl-C came before, `end` is called here. Empty: nothing is
  // under way, and the `end` of before is not called any more.
  void SetUnderWay(std::function<void()> end);

  // Any thread.
  bool came() const { return watcher_.came(); }

 private:
  void End();

  absl::Mutex mutex_;
  std::function<void()> end_ ABSL_GUARDED_BY(mutex_);
  SignalWatcher watcher_;  // last: its thread uses the others
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_INTERRUPT_H_
