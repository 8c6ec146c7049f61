// One helper thread with a bounded queue, for work that would hold up the event
// loop: tokenising a long text, running a chat template. Owned by the server;
// any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_

#include <atomic>
#include <cstdint>

#include "engine/base/status.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

class BackgroundThread {
 public:
  // At most `tasks_max` tasks wait.
  explicit BackgroundThread(int64_t tasks_max) : tasks_max_(tasks_max) {}
  // Runs what is queued, then ends the thread.
  ~BackgroundThread() = default;

  // RESOURCE_EXHAUSTED with EXHAUSTED where the queue is full; the task is
  // then dropped.
  absl::Status Run(EventLoop::Closure task);

 private:
  const int64_t tasks_max_;
  std::atomic<int64_t> waiting_{0};
  EventLoopThread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_THREAD_H_
