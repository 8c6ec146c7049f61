// SIGTERM and SIGINT as an event, for servers and for the command line; for
// servers SIGHUP too. While a SignalWatcher stands, the signals that it takes
// are blocked in its maker's thread and in threads that are started later: make
// it before any other thread.
//
// The first SIGTERM or SIGINT (or Request) wakes Wait and Next; a second one
// ends the process at once, whatever the process is doing. One watcher at a
// time.

#ifndef TANDEM_SERVICES_COMMON_SIGNALS_H_
#define TANDEM_SERVICES_COMMON_SIGNALS_H_

#include <signal.h>

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tandem {

struct SignalOptions {
  // Called by the watcher's thread at the first signal that stops; may be
  // empty.
  std::function<void()> on_first = {};
  // What a second signal that stops ends the process with.
  int second_exit_code = 1;
  // SIGHUP is an event of Next and never ends the process. Without this
  // SIGHUP does what it does without a watcher.
  bool takes_reload = false;
};

enum class SignalEvent {
  kStop,    // SIGTERM, SIGINT or Request: from then on always
  kReload,  // SIGHUP: files are to be read again
};

class SignalWatcher {
 public:
  explicit SignalWatcher(SignalOptions options = {});
  // Stops watching: on_first has returned or is not called any more.
  ~SignalWatcher();

  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // Any thread: whether the first signal that stops, or Request, has come.
  bool came() const;
  // Until then.
  void Wait();
  // Waits for the next event. SIGHUPs that came since the last call are one
  // event; after kStop they are none.
  SignalEvent Next();
  // As if the first signal had come; for a server that can not go on. Any
  // thread.
  void Request();

 private:
  void Run();

  const SignalOptions options_;
  mutable absl::Mutex mutex_;
  bool came_ ABSL_GUARDED_BY(mutex_) = false;
  bool reload_ ABSL_GUARDED_BY(mutex_) = false;  // Next has not reported it
  sigset_t mask_before_;
  int signal_fd_ = -1;
  int event_fd_ = -1;  // commands to the thread: kWake, kStop
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SIGNALS_H_
