// What the end of a worker's stream says. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_WORKER_FAILURE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_WORKER_FAILURE_H_

#include "absl/status/status.h"

namespace tandem {

// True where another worker, or the same one later, can not do better: the
// request itself is at fault, or the model's numbers are.
bool IsFatal(const absl::Status& status);

// True where the worker's process is gone, as far as its connection shows:
// everything that a worker or this process says has a reason.
bool IsDeath(const absl::Status& status);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_WORKER_FAILURE_H_
