#include "services/coordinator/client/background_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kLongBytes = BackgroundQueue::kShortBytes + 1;

class BackgroundQueueTest : public ::testing::Test {
 protected:
  BackgroundTask Task(const std::string& tenant, int64_t bytes,
                      absl::AnyInvocable<void()> run) {
    return {.tenant = tenant,
            .bytes = bytes,
            .run = std::move(run),
            .is_over = [] { return false; },
            .drop = [] { FAIL() << "dropped"; }};
  }
  // Notes `name` when it runs.
  BackgroundTask Noting(const std::string& tenant, int64_t bytes,
                        const std::string& name) {
    return Task(tenant, bytes, [this, name] {
      const absl::MutexLock lock(&mutex_);
      order_.push_back(name);
    });
  }
  // Keeps a thread busy until go_on_.
  BackgroundTask Holding(int64_t bytes) {
    return Task("holder", bytes, [this] {
      ++running_;
      while (!go_on_) std::this_thread::yield();
    });
  }
  // Keeps both threads busy.
  void HoldBoth(BackgroundQueue* queue) {
    ASSERT_TRUE(queue->Run(Holding(kLongBytes)).ok());
    while (running_ < 1) std::this_thread::yield();
    ASSERT_TRUE(queue->Run(Holding(1)).ok());
    while (running_ < 2) std::this_thread::yield();
  }

  MemoryBudget budget_{int64_t{1} << 30};
  std::atomic<int> running_{0};
  std::atomic<bool> go_on_{false};
  absl::Mutex mutex_;
  std::vector<std::string> order_;
};

TEST_F(BackgroundQueueTest, RunsWhatItTookBeforeItEnds) {
  std::atomic<int> ran{0};
  {
    BackgroundQueue queue(100, &budget_);
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(
          queue.Run(Task("a", i % 2 == 0 ? 1 : kLongBytes, [&ran] { ++ran; }))
              .ok());
    }
  }
  EXPECT_EQ(ran, 100);
  EXPECT_EQ(budget_.bytes(MemoryKind::kTexts), 0);
}

TEST_F(BackgroundQueueTest, TakesNothingAfterItsEnd) {
  BackgroundQueue queue(10, &budget_);
  ASSERT_TRUE(queue.Run(Noting("a", 1, "first")).ok());
  queue.Stop();
  EXPECT_EQ(order_.size(), 1u);
  EXPECT_EQ(GetErrorDetail(queue.Run(Noting("a", 1, "second")))->reason,
            kReasonDraining);
  EXPECT_EQ(order_.size(), 1u);
}

TEST_F(BackgroundQueueTest, RefusesMoreThanItsQueueHolds) {
  BackgroundQueue queue(2, &budget_);
  HoldBoth(&queue);
  EXPECT_TRUE(queue.Run(Noting("holder", 1, "one")).ok());
  EXPECT_TRUE(queue.Run(Noting("holder", 2, "two")).ok());
  const absl::Status full = queue.Run(Task("holder", 1, [] { FAIL(); }));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  go_on_ = true;
}

TEST_F(BackgroundQueueTest, RefusesMoreThanTheMemoryHolds) {
  MemoryBudget small(kLongBytes + 1 + 100);
  BackgroundQueue queue(10, &small);
  HoldBoth(&queue);
  EXPECT_EQ(small.bytes(MemoryKind::kTexts), kLongBytes + 1);
  EXPECT_TRUE(queue.Run(Noting("holder", 60, "one")).ok());
  EXPECT_EQ(queue.Run(Task("holder", 60, [] { FAIL(); })).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(queue.Run(Noting("holder", 40, "two")).ok());
  go_on_ = true;
}

TEST_F(BackgroundQueueTest, ShortTextsDoNotWaitForLongOnes) {
  BackgroundQueue queue(10, &budget_);
  ASSERT_TRUE(queue.Run(Holding(kLongBytes)).ok());
  ASSERT_TRUE(queue.Run(Holding(kLongBytes)).ok());
  while (running_ < 1) std::this_thread::yield();
  std::atomic<bool> ran{false};
  ASSERT_TRUE(queue.Run(Task("a", 1, [&ran] { ran = true; })).ok());
  while (!ran) std::this_thread::yield();  // would wait for ever
  EXPECT_EQ(running_, 1);
  go_on_ = true;
}

TEST_F(BackgroundQueueTest, TenantsTakeTurnsAndTheShortestGoesFirst) {
  {
    BackgroundQueue queue(20, &budget_);
    HoldBoth(&queue);
    // Long ones have one thread, so their order is certain.
    for (const auto& [tenant, bytes, name] :
         std::vector<std::tuple<std::string, int64_t, std::string>>{
             {"a", kLongBytes + 3, "a3"},
             {"a", kLongBytes + 1, "a1"},
             {"a", kLongBytes + 2, "a2"},
             {"b", kLongBytes + 9, "b9"},
             {"b", kLongBytes + 8, "b8"}}) {
      ASSERT_TRUE(queue.Run(Noting(tenant, bytes, name)).ok());
    }
    go_on_ = true;
  }
  EXPECT_THAT(order_, ElementsAre("a1", "b8", "a2", "b9", "a3"));
}

TEST_F(BackgroundQueueTest, WorkForNobodyIsDropped) {
  int dropped = 0;
  std::atomic<bool> over{false};
  {
    BackgroundQueue queue(10, &budget_);
    HoldBoth(&queue);
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(queue
                      .Run({.tenant = "a",
                            .bytes = kLongBytes,
                            .run = [] { FAIL() << "ran"; },
                            .is_over = [&over] { return over.load(); },
                            .drop = [&dropped] { ++dropped; }})
                      .ok());
    }
    over = true;
    go_on_ = true;
  }
  EXPECT_EQ(dropped, 5);
  EXPECT_EQ(budget_.bytes(MemoryKind::kTexts), 0);
}

TEST_F(BackgroundQueueTest, WorkForNobodyMakesRoom) {
  {
    BackgroundQueue queue(2, &budget_);
    HoldBoth(&queue);
    int dropped = 0;
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(queue
                      .Run({.tenant = "holder",
                            .bytes = 1,
                            .run = [] { FAIL() << "ran"; },
                            .is_over = [] { return true; },
                            .drop = [&dropped] { ++dropped; }})
                      .ok());
    }
    EXPECT_TRUE(queue.Run(Noting("holder", 1, "alive")).ok());
    EXPECT_EQ(dropped, 2);
    EXPECT_THAT(order_, IsEmpty());
    go_on_ = true;
  }
  EXPECT_THAT(order_, ElementsAre("alive"));
}

// One tenant's flood leaves places for the other.
TEST_F(BackgroundQueueTest, TenantsShareThePlaces) {
  BackgroundQueue queue(40, &budget_);
  HoldBoth(&queue);
  int many = 0;
  while (queue.Run(Noting("many", 1, "many")).ok()) ++many;
  EXPECT_EQ(many, 30);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(queue.Run(Noting("few", 1, "few")).ok());
  }
  go_on_ = true;
}

}  // namespace
}  // namespace tandem
