#include "tests/engine/base/wall_clock.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>

namespace {

std::atomic<time_t> seconds_ahead{0};

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const long result = syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && clock == CLOCK_REALTIME) {
    time->tv_sec += seconds_ahead.load(std::memory_order_relaxed);
  }
  return static_cast<int>(result);
}

namespace tandem {

SetWallClock::SetWallClock(absl::Duration by) {
  seconds_ahead.store(static_cast<time_t>(absl::ToInt64Seconds(by)));
}

SetWallClock::~SetWallClock() { seconds_ahead.store(0); }

}  // namespace tandem
