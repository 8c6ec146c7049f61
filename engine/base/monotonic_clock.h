// Time that is not set back or forward: for whatever is a duration. The wall
// clock (absl::Now) is for dates alone. Any thread.

#ifndef TANDEM_ENGINE_BASE_MONOTONIC_CLOCK_H_
#define TANDEM_ENGINE_BASE_MONOTONIC_CLOCK_H_

#include <atomic>
#include <cstdint>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tandem {

// Only the difference of two such times means something; nothing of Abseil
// waits until one.
absl::Time MonotonicNow();

// Where threads wait with a time limit. Abseil's own waits end by the wall
// clock: one that is under way when that is set back lasts so much longer.
class TimedWait {
 public:
  TimedWait() = default;

  TimedWait(const TimedWait&) = delete;
  TimedWait& operator=(const TimedWait&) = delete;

  // Until `condition()` is true, or until `end` of MonotonicNow; what it is
  // then. The caller holds `mutex`, and so does `condition`.
  template <typename Condition>
  bool Await(absl::Mutex* mutex, absl::Time end,
             const Condition& condition) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    while (!condition()) {
      if (!WaitOnce(mutex, end)) return condition();
    }
    return true;
  }

  // After each change by which a condition may be true: wakes all that wait.
  void Notify();

 private:
  // Until Notify, or a wake-up for nothing; false: `end` has come.
  bool WaitOnce(absl::Mutex* mutex, absl::Time end);

  // Counts the calls of Notify; waiting threads sleep on it.
  std::atomic<uint32_t> changes_{0};
  std::atomic<int> waiting_{0};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_MONOTONIC_CLOCK_H_
