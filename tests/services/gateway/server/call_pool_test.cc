#include "services/gateway/server/call_pool.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/synchronization/notification.h"

namespace tandem::gateway {
namespace {

TEST(CallPoolTest, RunsAllBeforeItEnds) {
  std::atomic<int> run = 0;
  {
    CallPool pool;
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(pool.Run([&run] { ++run; }));
  }
  EXPECT_EQ(run, 100);
}

TEST(CallPoolTest, RefusesMoreThanMayWait) {
  absl::Notification go;
  std::atomic<int> run = 0;
  int taken = 0;
  {
    CallPool pool;
    while (pool.Run([&go, &run] {
      go.WaitForNotification();
      ++run;
    })) {
      ++taken;
      ASSERT_LE(taken, kCallThreads + static_cast<int>(kWaitingCallsMax));
    }
    go.Notify();
  }
  EXPECT_EQ(run, taken);
  EXPECT_GE(taken, static_cast<int>(kWaitingCallsMax));
}

}  // namespace
}  // namespace tandem::gateway
