#include "services/coordinator/client/return_times.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const MonotonicTime kStart = MonotonicTime() + std::chrono::hours(1);

// Ten turns a second for a minute; returns the end.
MonotonicTime ServeTenASecond(ReturnTimes* times) {
  MonotonicTime now = kStart;
  for (int i = 0; i < 600; ++i) {
    times->OnServed(now);
    now += milliseconds(100);
  }
  return now;
}

TEST(ReturnTimesTest, WithoutARateTheRefuserKnowsBest) {
  ReturnTimes times(1);
  for (int i = 0; i < 100; ++i) {
    const MonotonicDuration wait = times.Next(seconds(2), kStart);
    EXPECT_GE(wait, seconds(2));
    EXPECT_LE(wait, seconds(3));
  }
}

// As many as are served come back in each second, not all at once.
TEST(ReturnTimesTest, ACrowdComesBackAtTheRateThatIsServed) {
  ReturnTimes times(1);
  const MonotonicTime now = ServeTenASecond(&times);
  std::vector<MonotonicDuration> waits;
  for (int i = 0; i < 100; ++i) {
    waits.push_back(times.Next(MonotonicDuration::zero(), now));
  }
  // 100 at 10 a second: the last is told 10 s, and up to half more.
  EXPECT_GE(waits.back(), seconds(9));
  EXPECT_LE(waits.back(), seconds(16));
  EXPECT_LE(waits.front(), milliseconds(200));
  std::sort(waits.begin(), waits.end());
  for (int second = 1; second < 9; ++second) {
    const auto come = std::count_if(
        waits.begin(), waits.end(), [second](MonotonicDuration wait) {
          return wait >= seconds(second) && wait < seconds(second + 1);
        });
    EXPECT_GE(come, 2) << second;
    EXPECT_LE(come, 16) << second;
  }
}

TEST(ReturnTimesTest, ThoseWhoseTimeHasComeCountNoMore) {
  ReturnTimes times(1);
  const MonotonicTime now = ServeTenASecond(&times);
  for (int i = 0; i < 100; ++i) times.Next(MonotonicDuration::zero(), now);
  EXPECT_GE(times.Next(MonotonicDuration::zero(), now), seconds(9));
  // The rate has faded to a third since, so one stands for three.
  EXPECT_LE(times.Next(MonotonicDuration::zero(), now + seconds(12)),
            milliseconds(700));
}

TEST(ReturnTimesTest, ALineMayHaveAPartOfARate) {
  ReturnTimes times(1);
  for (int i = 1; i <= 10; ++i) {
    const MonotonicDuration wait =
        times.NextEvery({.least = {}, .interval = seconds(1)}, kStart);
    EXPECT_GE(wait, seconds(i));
    EXPECT_LE(wait, milliseconds(1500) * i);
  }
}

TEST(ReturnTimesTest, NobodyIsSentAwayForLong) {
  ReturnTimes times(1);
  const MonotonicTime now = ServeTenASecond(&times);
  MonotonicDuration longest = {};
  for (int i = 0; i < 10000; ++i) {
    longest = std::max(longest, times.Next(MonotonicDuration::zero(), now));
  }
  EXPECT_LE(longest, ReturnTimes::kWaitMax * 3 / 2);
  // An old rate says nothing.
  EXPECT_LE(times.Next(MonotonicDuration::zero(), now + std::chrono::hours(1)),
            milliseconds(150));
}

}  // namespace
}  // namespace tandem
