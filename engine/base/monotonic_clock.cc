#include "engine/base/monotonic_clock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>

namespace tandem {
namespace {

// A longer wait is begun again: the clock's arithmetic must not overflow.
constexpr absl::Duration kWaitMax = absl::Hours(1);

}  // namespace

absl::Time MonotonicNow() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

// A futex instead of a std::condition_variable_any: that one locks a mutex of
// its own when it notifies, for which the thread that it wakes then waits.
void TimedWait::Notify() {
  changes_.fetch_add(1);
  if (waiting_.load() == 0) return;
  syscall(SYS_futex, &changes_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr,
          0);
}

bool TimedWait::WaitOnce(absl::Mutex* mutex,
                         absl::Time end) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const absl::Duration left = end - MonotonicNow();
  if (left <= absl::ZeroDuration()) return false;
  // Before the change of which Notify tells: `mutex` is held.
  waiting_.fetch_add(1);
  const uint32_t seen = changes_.load();
  mutex->Unlock();
  // By the monotonic clock; at once where Notify came meanwhile.
  const timespec time = absl::ToTimespec(std::min(left, kWaitMax));
  syscall(SYS_futex, &changes_, FUTEX_WAIT_PRIVATE, seen, &time, nullptr, 0);
  mutex->Lock();
  waiting_.fetch_sub(1);
  return true;
}

}  // namespace tandem
