// One helper thread with a bounded queue, for work that would hold up an event
// loop: tokenising a long text, running a chat template. Owned by the server;
// any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/functional/any_invocable.h"
#include "engine/base/status.h"

namespace tandem {

class BackgroundThread {
 public:
  // Runs at most `tasks_max` waiting tasks.
  explicit BackgroundThread(size_t tasks_max);
  // Runs what is queued, then ends the thread.
  ~BackgroundThread();

  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  // RESOURCE_EXHAUSTED with EXHAUSTED where the queue is full; the task is
  // then dropped.
  absl::Status Run(absl::AnyInvocable<void()> task);

 private:
  void Work();

  const size_t tasks_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<absl::AnyInvocable<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;                         // guarded by mutex_
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_
