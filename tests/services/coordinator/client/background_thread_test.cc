#include "services/coordinator/client/background_thread.h"

#include <gtest/gtest.h>

#include <atomic>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

TEST(BackgroundThreadTest, RunsWhatItTookBeforeItEnds) {
  int ran = 0;
  {
    BackgroundThread thread(100);
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(thread.Run([&ran] { ++ran; }).ok());
    }
  }
  EXPECT_EQ(ran, 100);
}

TEST(BackgroundThreadTest, RefusesMoreThanItsQueueHolds) {
  std::atomic<bool> running{false};
  std::atomic<bool> go_on{false};
  BackgroundThread thread(2);
  ASSERT_TRUE(thread
                  .Run([&] {
                    running = true;
                    while (!go_on) std::this_thread::yield();
                  })
                  .ok());
  while (!running) std::this_thread::yield();
  EXPECT_TRUE(thread.Run([] {}).ok());
  EXPECT_TRUE(thread.Run([] {}).ok());
  const absl::Status full = thread.Run([] { FAIL(); });
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  go_on = true;
}

}  // namespace
}  // namespace tandem
