// The thread of a worker that compiles the grammars of its sequences, one after
// the other in the order in which they came: neither gRPC's threads nor the
// compute thread can spare that time. Owned by the worker service; any thread
// may call.

#ifndef TANDEM_SERVICES_WORKER_SERVER_GRAMMAR_THREAD_H_
#define TANDEM_SERVICES_WORKER_SERVER_GRAMMAR_THREAD_H_

#include <deque>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"

namespace tandem {

// Grammars that wait at once. A new one takes 2 to 50 ms, one that is known
// none.
inline constexpr size_t kGrammarsWaitingMax = 256;

class GrammarThread {
 public:
  using Task = absl::AnyInvocable<void()>;

  GrammarThread();
  // Runs what is queued, then ends the thread.
  ~GrammarThread();

  GrammarThread(const GrammarThread&) = delete;
  GrammarThread& operator=(const GrammarThread&) = delete;

  // Runs `task` on the thread, later. RESOURCE_EXHAUSTED with EXHAUSTED where
  // kGrammarsWaitingMax wait; the task is gone then.
  absl::Status Run(Task task);

 private:
  void Work();
  // The next one; nothing: the thread is to end.
  std::optional<Task> Await();

  absl::Mutex mutex_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_GRAMMAR_THREAD_H_
