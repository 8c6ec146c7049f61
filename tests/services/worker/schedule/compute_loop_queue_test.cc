// Opens that wait for room.

#include <gtest/gtest.h>

#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/monotonic_clock.h"
#include "tests/engine/base/wall_clock.h"
#include "tests/services/worker/compute_loop_fixture.h"

namespace tandem {
namespace {

using Client = LoopClient;
using ComputeLoopQueueTest = ComputeLoopFixture;
constexpr absl::Duration kLong = absl::Hours(1);

TEST_F(ComputeLoopQueueTest, AnOpenWaitsForRoom) {
  Start({.sequences_max = 1});
  Client first, second, third;
  const StreamId first_id = MustOpen(&first, OpenOptions({1, 3}));
  ASSERT_TRUE(first.WaitOpened().ok());
  EXPECT_EQ(first.queued_us(), 0);
  const StreamId second_id =
      MustOpen(&second, OpenOptions({1, 3, 4}), "", kLong);
  // Its request waits with it.
  ASSERT_TRUE(loop_->Submit(second_id, Propose(2, {4}, 2)).ok());
  const StreamId third_id = MustOpen(&third, OpenOptions({1, 3}), "", kLong);
  while (loop_->load().streams_queued < 2) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(loop_->load().streams_open, 3);
  EXPECT_EQ(loop_->load().requests_pending, 3);
  EXPECT_FALSE(second.is_opened());
  CloseAndWait(first_id, &first);
  EXPECT_TRUE(second.WaitOpened().ok());
  EXPECT_GT(second.queued_us(), 0);
  EXPECT_TRUE(second.WaitResult().ok());
  EXPECT_EQ(loop_->load().streams_queued, 1);
  EXPECT_FALSE(third.is_opened());
  CloseAndWait(second_id, &second);
  EXPECT_TRUE(third.WaitOpened().ok());
  CloseAndWait(third_id, &third);
  EXPECT_EQ(engine_->open_sequences(), 0);
  EXPECT_EQ(loop_->load().streams_queued, 0);
  ExpectNothingPending();
}

TEST_F(ComputeLoopQueueTest, NobodyPassesALargeOpen) {
  Start({.kv_tokens = 900});
  Client holders[2];
  const StreamId holder = MustOpen(&holders[0], OpenOptions({1, 3}, 500));
  const StreamId small_holder = MustOpen(&holders[1], OpenOptions({1, 3}, 300));
  ASSERT_TRUE(holders[1].WaitOpened().ok());
  Client large, small;
  const StreamId large_id =
      MustOpen(&large, OpenOptions({1, 3}, 800), "a", kLong);
  // Would fit, now and after the first close.
  const StreamId small_id =
      MustOpen(&small, OpenOptions({1, 3}, 50), "b", kLong);
  while (loop_->load().streams_queued < 2) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  CloseAndWait(small_holder, &holders[1]);
  EXPECT_FALSE(small.is_opened());
  EXPECT_EQ(loop_->load().streams_queued, 2);
  CloseAndWait(holder, &holders[0]);
  EXPECT_TRUE(large.WaitOpened().ok());
  EXPECT_TRUE(small.WaitOpened().ok());
  CloseAndWait(large_id, &large);
  CloseAndWait(small_id, &small);
}

TEST_F(ComputeLoopQueueTest, WhoDoesNotWaitDoesNotPassTheQueue) {
  Start({.kv_tokens = 900});
  Client holder, large, hasty;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}, 500));
  const StreamId large_id =
      MustOpen(&large, OpenOptions({1, 3}, 800), "a", kLong);
  const StreamId hasty_id = MustOpen(&hasty, OpenOptions({1, 3}, 50));
  EXPECT_EQ(hasty.WaitOpened().code(), absl::StatusCode::kResourceExhausted);
  // When the large one goes the next fits.
  Client next;
  const StreamId next_id = MustOpen(&next, OpenOptions({1, 3}, 50), "b", kLong);
  CloseAndWait(large_id, &large);
  EXPECT_TRUE(next.WaitOpened().ok());
  CloseAndWait(hasty_id, &hasty);
  CloseAndWait(next_id, &next);
  CloseAndWait(holder_id, &holder);
  ExpectNothingPending();
}

TEST_F(ComputeLoopQueueTest, TheQueueEndsWithItsTimeAndItsPlaces) {
  ComputeLoopOptions options;
  options.queue_max = 1;
  Start({.sequences_max = 1}, std::move(options));
  Client holder, waiter, late;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}));
  ASSERT_TRUE(holder.WaitOpened().ok());
  const StreamId waiter_id =
      MustOpen(&waiter, OpenOptions({1, 3}), "", absl::Milliseconds(200));
  ASSERT_TRUE(loop_->Submit(waiter_id, Propose(1, {3}, 2)).ok());
  // No place: refused though it would wait.
  const StreamId late_id = MustOpen(&late, OpenOptions({1, 3}), "", kLong);
  for (Client* client : {&late, &waiter}) {
    const absl::Status status = client->WaitOpened();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, kReasonExhausted);
    EXPECT_GE(detail->retry_delay_ms.value_or(0), 100);
    EXPECT_LE(detail->retry_delay_ms.value_or(0), 30000);
    EXPECT_FALSE(client->HasResult());
  }
  EXPECT_EQ(loop_->load().streams_queued, 0);
  EXPECT_EQ(loop_->load().requests_pending, 0);
  CloseAndWait(late_id, &late);
  CloseAndWait(waiter_id, &waiter);
  CloseAndWait(holder_id, &holder);
  EXPECT_EQ(engine_->open_sequences(), 0);
}

TEST_F(ComputeLoopQueueTest, MoreThanThePoolIsRefusedAtOnce) {
  Start({.sequences_max = 1});
  Client holder, absurd;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}));
  ASSERT_TRUE(holder.WaitOpened().ok());
  const StreamId absurd_id =
      MustOpen(&absurd, OpenOptions({1, 3}, 5000), "", kLong);
  EXPECT_EQ(absurd.WaitOpened().code(), absl::StatusCode::kInvalidArgument);
  CloseAndWait(absurd_id, &absurd);
  CloseAndWait(holder_id, &holder);
}

TEST_F(ComputeLoopQueueTest, TenantsTakeTurnsInTheQueue) {
  Start({.sequences_max = 1});
  Client holder;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}));
  ASSERT_TRUE(holder.WaitOpened().ok());
  std::vector<Client> clients(5);
  std::vector<StreamId> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(MustOpen(&clients[i], OpenOptions({1, 3}),
                           i < 4 ? "many" : "one", kLong));
  }
  while (loop_->load().streams_queued < 5) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  CloseAndWait(holder_id, &holder);
  for (const int next : {0, 4, 1, 2, 3}) {
    EXPECT_TRUE(clients[next].WaitOpened().ok());
    CloseAndWait(ids[next], &clients[next]);
  }
}

// 1000 tokens of KV, of which tenant "many" holds 600 and wants 600 more. A
// share is 60 of what the fake engine counts as 1000 pages of 16 tokens.
constexpr double kSmallShare = 0.06;

TEST_F(ComputeLoopQueueTest, ATenantOverItsShareLetsOthersGoFirst) {
  ComputeLoopOptions options;
  options.tenant_kv_share = kSmallShare;
  Start({.kv_tokens = 1000}, std::move(options));
  Client holders[2];
  const StreamId first =
      MustOpen(&holders[0], OpenOptions({1, 3}, 300), "many");
  // Alone it may have more than its share.
  const StreamId second =
      MustOpen(&holders[1], OpenOptions({1, 3}, 300), "many");
  ASSERT_TRUE(holders[1].WaitOpened().ok());
  Client large, small;
  const StreamId large_id =
      MustOpen(&large, OpenOptions({1, 3}, 600), "many", kLong);
  while (loop_->load().streams_queued < 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  // Fits beside what is held; without shares it would wait behind the large.
  const StreamId small_id =
      MustOpen(&small, OpenOptions({1, 3}, 300), "few", kLong);
  EXPECT_TRUE(small.WaitOpened().ok());
  EXPECT_FALSE(large.is_opened());
  CloseAndWait(small_id, &small);
  // Alone again, it gets what becomes free.
  CloseAndWait(second, &holders[1]);
  EXPECT_TRUE(large.WaitOpened().ok());
  CloseAndWait(large_id, &large);
  CloseAndWait(first, &holders[0]);
}

// The open says it for its tenant.
TEST_F(ComputeLoopQueueTest, ATenantMayHaveAShareOfItsOwn) {
  ComputeLoopOptions options;
  options.tenant_kv_share = 1;
  Start({.kv_tokens = 1000}, std::move(options));
  Client holder, large, small;
  const StreamId holder_id =
      MustOpen(&holder, OpenOptions({1, 3}, 500), "many");
  ASSERT_TRUE(holder.WaitOpened().ok());
  const absl::StatusOr<StreamId> large_id =
      loop_->Open({.decoder = OpenOptions({1, 3}, 600),
                   .tenant = "many",
                   .tenant_kv_share = kSmallShare,
                   .queue_timeout = kLong},
                  &large);
  ASSERT_TRUE(large_id.ok());
  const StreamId small_id =
      MustOpen(&small, OpenOptions({1, 3}, 300), "few", kLong);
  EXPECT_TRUE(small.WaitOpened().ok());
  EXPECT_FALSE(large.is_opened());
  CloseAndWait(*large_id, &large);
  CloseAndWait(small_id, &small);
  CloseAndWait(holder_id, &holder);
}

TEST_F(ComputeLoopQueueTest, EndClosesWhatIsQueued) {
  Start({.sequences_max = 1});
  Client holder, waiter;
  MustOpen(&holder, OpenOptions({1, 3}));
  MustOpen(&waiter, OpenOptions({1, 3}), "", kLong);
  while (loop_->load().streams_queued < 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  engine_ = nullptr;
  loop_.reset();
  holder.WaitClosed();
  waiter.WaitClosed();
}

// The queue's time is not the wall clock's.
TEST_F(ComputeLoopQueueTest, TheWallClockMayBeSetMeanwhile) {
  Start({.sequences_max = 1});
  Client holder, waiter, patient, hasty;
  const StreamId holder_id = MustOpen(&holder, OpenOptions({1, 3}));
  ASSERT_TRUE(holder.WaitOpened().ok());
  const StreamId waiter_id =
      MustOpen(&waiter, OpenOptions({1, 3}), "", absl::Milliseconds(500));
  const StreamId patient_id =
      MustOpen(&patient, OpenOptions({1, 3}), "", kLong / 2);
  while (loop_->load().streams_queued < 2) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  StreamId hasty_id = 0;
  {
    const SetWallClock ahead(kLong);
    // Wakes the loop.
    hasty_id = MustOpen(&hasty, OpenOptions({1, 3}));
    EXPECT_FALSE(hasty.WaitOpened().ok());
    EXPECT_FALSE(patient.is_opened()) << "neither served nor refused";
  }
  const SetWallClock back(-kLong);
  const absl::Time begin = MonotonicNow();
  EXPECT_EQ(waiter.WaitOpened().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LT(MonotonicNow() - begin, absl::Seconds(30));
  EXPECT_FALSE(patient.is_opened());
  CloseAndWait(hasty_id, &hasty);
  CloseAndWait(waiter_id, &waiter);
  CloseAndWait(patient_id, &patient);
  CloseAndWait(holder_id, &holder);
}

}  // namespace
}  // namespace tandem
