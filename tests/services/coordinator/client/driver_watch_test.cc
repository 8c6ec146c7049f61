#include "services/coordinator/client/driver_watch.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

class DriverWatchTest : public StoredFixture {
 protected:
  // A turn that runs at `a_`, whose watch does too.
  FakeClient* Begin() {
    a_->watch.Start();
    // For minutes.
    a_->link->faults.delay_max = std::chrono::milliseconds(50);
    FakeClient* const client = Connect(a_);
    client->Start("w1 w2", 9000);
    RunUntil([client] { return client->tokens.size() > 20; });
    return client;
  }
  void TakeOver(const FakeClient& client) {
    store_.inner()->TakeOver(client.session_id, "tenant",
                             [](absl::StatusOr<StoredSession> session) {
                               ASSERT_TRUE(session.ok());
                             });
  }
};

TEST_F(DriverWatchTest, DropsWhatAnotherHasTakenOver) {
  FakeClient* const lost = Begin();
  FakeClient* const kept = Connect(a_);
  kept->Start("w3", 9000);
  RunUntil([kept] { return kept->tokens.size() > 20; });
  store_.Fail(StoreCall::kTokens, {.first = 1, .last = 100000});
  TakeOver(*lost);
  const MonotonicTime began = clock_.Now();
  RunUntil([lost] { return lost->finished.has_value(); });
  EXPECT_LE(clock_.Now() - began, std::chrono::seconds(1));
  EXPECT_TRUE(absl::IsAborted(*lost->finished));
  EXPECT_FALSE(a_->sessions.Find(lost->session_id, "tenant").ok());
  EXPECT_FALSE(kept->finished.has_value());
  EXPECT_TRUE(a_->sessions.Find(kept->session_id, "tenant").ok());
}

TEST_F(DriverWatchTest, AsksAgainAndAgainButOneQuestionAtATime) {
  Begin();
  const int before = store_.calls(StoreCall::kFindLost);
  RunFor(10 * kDriverWatchInterval);
  EXPECT_GE(store_.calls(StoreCall::kFindLost), before + 9);
  EXPECT_LE(store_.calls(StoreCall::kFindLost), before + 10);
  store_.Hold();
  RunFor(kDriverWatchInterval);
  const int held = store_.calls(StoreCall::kFindLost);
  RunFor(10 * kDriverWatchInterval);
  EXPECT_EQ(store_.calls(StoreCall::kFindLost), held);
  store_.Release();
  RunFor(2 * kDriverWatchInterval);
  EXPECT_GT(store_.calls(StoreCall::kFindLost), held);
}

TEST_F(DriverWatchTest, AStoreThatIsAwayDropsNothing) {
  FakeClient* const client = Begin();
  store_.Fail(StoreCall::kFindLost, {.first = 1, .last = 100000});
  RunFor(5 * kDriverWatchInterval);
  EXPECT_FALSE(client->finished.has_value());
}

// The answer is about what was asked, not about what came later.
TEST_F(DriverWatchTest, AnOldAnswerDoesNotHitASessionThatCameBack) {
  FakeClient* const client = Begin();
  TakeOver(*client);
  store_.Hold();
  const int before = store_.calls(StoreCall::kFindLost);
  RunUntil([&] { return store_.calls(StoreCall::kFindLost) > before; });
  // Meanwhile it is lost and loaded again here.
  a_->sessions.Drop(*a_->sessions.Find(client->session_id, "tenant"),
                    ResumedElsewhere());
  FakeClient* const again = Resume(a_, *client);
  RunUntil([this] { return store_.calls(StoreCall::kTakeOver) == 1; });
  store_.ReleaseLast();
  while (RunReady()) {
  }
  EXPECT_TRUE(a_->sessions.Find(client->session_id, "tenant").ok());
  store_.Release();
  RunFor(std::chrono::milliseconds(100));
  EXPECT_FALSE(again->finished.has_value()) << *again->finished;
  EXPECT_TRUE(again->has_started);
}

// The server's end: the store answers last.
TEST_F(DriverWatchTest, AnAnswerMayComeWhenTheWatchHasGone) {
  FakeClient* const client = Connect(a_);
  client->Start("w1 w2", 9000);
  RunUntil([client] { return client->tokens.size() > 20; });
  EventLoop loop(&clock_);
  auto watch = std::make_unique<DriverWatch>(&store_, &a_->sessions, &loop);
  watch->Start();
  store_.Hold();
  clock_.AdvanceTo(*loop.NextTimer());
  loop.RunReady();
  EXPECT_EQ(store_.calls(StoreCall::kFindLost), 1);
  watch.reset();
  store_.Release();
}

TEST_F(DriverWatchTest, IdleSessionsAreNotAskedFor) {
  a_->watch.Start();
  FakeClient* const client = Connect(a_);
  client->Start("w1", 5);
  RunToEnd(client);
  RunFor(5 * kDriverWatchInterval);
  EXPECT_EQ(store_.calls(StoreCall::kFindLost), 0);
}

}  // namespace
}  // namespace tandem
