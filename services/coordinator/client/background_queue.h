// Two helper threads with a bounded queue, for work that would hold up the
// event loop: tokenising a long text, running a chat template. Owned by the
// server; any thread may call.
//
// Tenants take turns, and each tenant's shortest text goes first. Texts over
// kShortBytes have a thread of their own, which helps with short ones when
// there is no long one: so a short text waits for short ones only. Work whose
// call is over by its turn is dropped. Tenants share the places by FairBound,
// and what waits counts in the memory budget.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_QUEUE_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_QUEUE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "services/coordinator/client/fair_bound.h"
#include "services/coordinator/client/memory_budget.h"

namespace tandem {

struct BackgroundTask {
  std::string tenant;
  // Of its text: what it costs, in time and in memory.
  int64_t bytes = 0;
  absl::AnyInvocable<void()> run;
  // True once nobody waits for it. Called under a lock: looks, and returns.
  absl::AnyInvocable<bool()> is_over;
  // Called in place of `run` for a task that is over.
  absl::AnyInvocable<void()> drop;
};

class BackgroundQueue {
 public:
  // About 10 ms of tokenising.
  static constexpr int64_t kShortBytes = 64 << 10;

  // At most `tasks_max` tasks wait. `budget` outlives the queue.
  BackgroundQueue(int64_t tasks_max, MemoryBudget* budget);
  ~BackgroundQueue() { Stop(); }

  BackgroundQueue(const BackgroundQueue&) = delete;
  BackgroundQueue& operator=(const BackgroundQueue&) = delete;

  // RESOURCE_EXHAUSTED with EXHAUSTED where places or memory are used up,
  // UNAVAILABLE with DRAINING after Stop; the task is then gone, and nothing of
  // it was called.
  absl::Status Run(BackgroundTask task);
  // Runs what is queued, then ends the threads; one thread calls it.
  void Stop();

 private:
  // The tasks of one thread, by tenant and size; of equal sizes the first that
  // came is first.
  struct Line {
    std::map<std::string, std::multimap<int64_t, BackgroundTask>> tenants;
    std::string last = {};  // tenant that had the last turn

    bool empty() const { return tenants.empty(); }
    BackgroundTask Pop();
    void TakeOver(std::vector<BackgroundTask>* over);
  };
  enum class Takes { kShort, kAll };

  void Work(Takes takes);
  // The next task; nothing: the thread is to end.
  std::optional<BackgroundTask> Await(Takes takes);
  // Takes a place and memory for the task.
  bool Reserve(const BackgroundTask& task)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes what is over out of the lines, and gives back what it had.
  std::vector<BackgroundTask> TakeOver() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MemoryBudget* const budget_;
  absl::Mutex mutex_;
  FairBound places_ ABSL_GUARDED_BY(mutex_);
  Line short_ ABSL_GUARDED_BY(mutex_);
  Line long_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread short_thread_;
  std::thread all_thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_BACKGROUND_QUEUE_H_
