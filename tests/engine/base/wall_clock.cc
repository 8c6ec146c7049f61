#include "tests/engine/base/wall_clock.h"

#include <sys/syscall.h>
#include <sys/time.h>
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

// By which Abseil's waits with a time limit know when they end.
extern "C" int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  timespec now;
  const int result = clock_gettime(CLOCK_REALTIME, &now);
  constexpr int kNanosecondsInMicrosecond = 1000;
  *time = {.tv_sec = now.tv_sec,
           .tv_usec = now.tv_nsec / kNanosecondsInMicrosecond};
  return result;
}

namespace tandem {

SetWallClock::SetWallClock(absl::Duration by) {
  seconds_ahead.store(static_cast<time_t>(absl::ToInt64Seconds(by)));
}

SetWallClock::~SetWallClock() { seconds_ahead.store(0); }

}  // namespace tandem
