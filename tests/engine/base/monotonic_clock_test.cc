#include "engine/base/monotonic_clock.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"
#include "tests/engine/base/wall_clock.h"

namespace tandem {
namespace {

constexpr absl::Duration kShort = absl::Milliseconds(50);

TEST(MonotonicClockTest, TheWallClockMayBeSet) {
  const absl::Time before = MonotonicNow();
  {
    const SetWallClock back(-absl::Hours(1));
    EXPECT_GE(MonotonicNow(), before);
    EXPECT_LT(MonotonicNow(), before + absl::Minutes(1));
  }
  EXPECT_LT(MonotonicNow(), before + absl::Minutes(1));
}

TEST(TimedWaitTest, EndsInTime) {
  absl::Mutex mutex;
  TimedWait wait;
  const absl::Time begin = MonotonicNow();
  absl::MutexLock lock(&mutex);
  EXPECT_FALSE(wait.Await(&mutex, begin + kShort, [] { return false; }));
  EXPECT_GE(MonotonicNow() - begin, kShort);
  mutex.AssertHeld();
  EXPECT_FALSE(wait.Await(&mutex, absl::InfinitePast(), [] { return false; }));
  EXPECT_TRUE(wait.Await(&mutex, absl::InfinitePast(), [] { return true; }));
}

TEST(TimedWaitTest, ANoticeWakesIt) {
  absl::Mutex mutex;
  TimedWait wait;
  bool is_done = false;
  std::thread notifier([&] {
    absl::SleepFor(kShort);
    {
      absl::MutexLock lock(&mutex);
      is_done = true;
    }
    wait.Notify();
  });
  {
    absl::MutexLock lock(&mutex);
    EXPECT_TRUE(wait.Await(&mutex, absl::InfiniteFuture(),
                           [&is_done] { return is_done; }));
  }
  notifier.join();
}

}  // namespace
}  // namespace tandem
