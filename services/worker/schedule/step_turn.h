// Turns between the compute loops of one process: one Step each, so that the
// thread teams of several models do not stall each other on the same CPUs.
// ComputeTurn is the same between processes.
//
// Fair: who asks first is first. Owned by the model set; any thread.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_STEP_TURN_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_STEP_TURN_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tandem {

class StepTurn {
 public:
  // Blocks until it is the caller's turn; Release follows.
  void Acquire();
  void Release();

 private:
  absl::Mutex mutex_;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t served_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_STEP_TURN_H_
