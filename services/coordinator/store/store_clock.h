// The time of day that stored sessions are aged by: the wall clock of when the
// store was opened, and what has passed since by the monotonic one. A wall
// clock that is set meanwhile ages nothing. A value; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_STORE_CLOCK_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_STORE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"

namespace tandem {

class StoreClock {
 public:
  absl::Time Now() const { return opened_at_ + (MonotonicNow() - opened_); }

 private:
  absl::Time opened_at_ = absl::Now();
  absl::Time opened_ = MonotonicNow();
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_STORE_CLOCK_H_
