// The order in which the compute loops of one process run their passes: one
// pass at a time, so that the thread teams of several models do not stall each
// other on the same CPUs. ProcessorLock is the same between processes.
//
// Fair: the loop that asks first runs first. Owned by the model set; any
// thread.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_LOOP_ORDER_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_LOOP_ORDER_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tandem {

class LoopOrder {
 public:
  // Blocks until the caller may run a pass; Release follows.
  void Acquire();
  void Release();

 private:
  absl::Mutex mutex_;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t served_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_LOOP_ORDER_H_
