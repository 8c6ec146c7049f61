#include "services/worker/server/grammar_thread.h"

#include <gtest/gtest.h>

#include <vector>

#include "absl/synchronization/notification.h"

namespace tandem {
namespace {

TEST(GrammarThreadTest, RunsInOrderAndAllBeforeItsEnd) {
  std::vector<int> ran;
  {
    GrammarThread thread;
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(thread.Run([i, &ran] { ran.push_back(i); }).ok());
    }
  }
  ASSERT_EQ(ran.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST(GrammarThreadTest, OnlySoManyWait) {
  absl::Notification started;
  absl::Notification go_on;
  GrammarThread thread;
  ASSERT_TRUE(thread
                  .Run([&] {
                    started.Notify();
                    go_on.WaitForNotification();
                  })
                  .ok());
  started.WaitForNotification();
  for (size_t i = 0; i < kGrammarsWaitingMax; ++i) {
    ASSERT_TRUE(thread.Run([] {}).ok());
  }
  const absl::Status status = thread.Run([] { FAIL(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonExhausted);
  go_on.Notify();
}

}  // namespace
}  // namespace tandem
