#include "engine/base/monotonic_clock.h"

#include <algorithm>
#include <chrono>

namespace tandem {
namespace {

// The standard's names for an absl::Mutex that is held.
class HeldMutex {
 public:
  explicit HeldMutex(absl::Mutex* mutex) : mutex_(mutex) {}
  void lock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex_->Lock(); }
  void unlock() ABSL_NO_THREAD_SAFETY_ANALYSIS { mutex_->Unlock(); }

 private:
  absl::Mutex* const mutex_;
};

// A longer wait is begun again: the clock's arithmetic must not overflow.
constexpr absl::Duration kWaitMax = absl::Hours(1);

}  // namespace

absl::Time MonotonicNow() {
  return absl::UnixEpoch() +
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

bool TimedWait::WaitOnce(absl::Mutex* mutex, absl::Time end) {
  const absl::Duration left = end - MonotonicNow();
  if (left <= absl::ZeroDuration()) return false;
  HeldMutex held(mutex);
  // The standard's steady clock is the system's monotonic one.
  changed_.wait_until(held,
                      std::chrono::steady_clock::now() +
                          absl::ToChronoNanoseconds(std::min(left, kWaitMax)));
  return true;
}

}  // namespace tandem
