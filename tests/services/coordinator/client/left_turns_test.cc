#include "services/coordinator/client/left_turns.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr char kPrompt[] = "w1 w2";

class LeftTurnsTest : public StoredFixture {
 protected:
  // A turn at `a_` that goes on for `go_on_ms`, whose client has left.
  FakeClient* StartAndLeave(int max_tokens, int64_t go_on_ms,
                            v1::TurnRequest turn = {}) {
    FakeClient* const client = Connect(a_);
    turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
    turn.set_go_on_ms(go_on_ms);
    client->Start(kPrompt, max_tokens, std::move(turn));
    RunUntil([client] { return client->tokens.size() > 20; });
    client->Leave();
    RunUntil([client] { return client->finished.has_value(); });
    EXPECT_EQ(a_->left_turns.size(), 1u);
    EXPECT_EQ(a_->link->streams, 1);
    EXPECT_EQ(a_->quotas.turns(), 1);
    return client;
  }
  void RunUntilItRests() {
    RunUntil([this] { return a_->left_turns.size() == 0; });
    while (RunReady()) {
    }
    EXPECT_EQ(a_->link->streams, 0);
    EXPECT_EQ(a_->quotas.turns(), 0);
  }
  StoredTurn Stored(const FakeClient& client) {
    return store_.Stored(client.session_id).turns.front();
  }
  static TurnSpec Spec(int max_tokens) {
    return SpecOf(PromptOf(kPrompt), max_tokens);
  }
};

TEST_F(LeftTurnsTest, ATurnEndsWithoutItsClientWhichHearsOfItLater) {
  FakeClient* const client = StartAndLeave(500, 60000);
  RunUntilItRests();
  EXPECT_LT(client->tokens.size(), 500u);
  EXPECT_EQ(Stored(*client).generated.size(), 500u);
  EXPECT_EQ(Stored(*client).end_reason, FinishReason::kLength);
  FakeClient* const again = Resume(a_, *client);
  RunToEnd(again);
  ExpectPlain(*again, Spec(500));
  EXPECT_EQ(again->ended.moves(), 0);
  EXPECT_EQ(a_->link->opened, 1);
}

TEST_F(LeftTurnsTest, ATurnWaitsWhenItsTimeIsOver) {
  const MonotonicTime began = clock_.Now();
  FakeClient* const client = StartAndLeave(5000, 500);
  RunUntilItRests();
  EXPECT_GE(clock_.Now() - began, std::chrono::milliseconds(500));
  const StoredTurn stored = Stored(*client);
  EXPECT_GT(stored.generated.size(), client->tokens.size() + 100);
  EXPECT_LT(stored.generated.size(), 5000u);
  EXPECT_FALSE(stored.end_reason.has_value());
  RunFor(std::chrono::seconds(5));
  EXPECT_EQ(Stored(*client).generated, stored.generated);
  FakeClient* const again = Resume(a_, *client);
  RunToEnd(again);
  ExpectPlain(*again, Spec(5000));
}

TEST_F(LeftTurnsTest, AResumeTakesItOverWhileItGoesOn) {
  FakeClient* client = StartAndLeave(3000, 60000);
  for (int i = 0; i < 3; ++i) {
    RunFor(std::chrono::milliseconds(100));
    client = Resume(a_, *client);
    const size_t tokens = client->tokens.size() + 5;
    RunUntil([client, tokens] { return client->tokens.size() > tokens; });
    EXPECT_EQ(a_->left_turns.size(), 0u);
    client->Leave();
    RunUntil([client] { return client->finished.has_value(); });
    EXPECT_EQ(a_->left_turns.size(), 1u);
  }
  client = Resume(a_, *client);
  RunToEnd(client);
  ExpectPlain(*client, Spec(3000));
}

TEST_F(LeftTurnsTest, TheNextStartEndsIt) {
  FakeClient* const first = StartAndLeave(5000, 60000);
  RunFor(std::chrono::milliseconds(200));
  FakeClient* const second = Connect(a_);
  second->session_id = first->session_id;
  second->Start("w3", 40);
  RunToEnd(second);
  EXPECT_EQ(second->turn, 2);
  EXPECT_EQ(a_->left_turns.size(), 0u);
  const StoredTurn stored = Stored(*first);
  EXPECT_EQ(stored.end_reason, FinishReason::kCancelled);
  EXPECT_GT(stored.generated.size(), first->tokens.size() + 50);
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), stored.generated, "w3"), 40));
}

// Until the next question about who drives, it goes on at both.
TEST_F(LeftTurnsTest, AnotherCoordinatorTakesItOver) {
  a_->watch.Start();
  FakeClient* const before = StartAndLeave(9000, 60000);
  RunFor(std::chrono::milliseconds(200));
  FakeClient* const after = Resume(b_, *before);
  RunFor(kDriverWatchInterval + std::chrono::milliseconds(300));
  EXPECT_EQ(a_->left_turns.size(), 0u);
  EXPECT_EQ(a_->link->streams, 0);
  EXPECT_EQ(a_->sessions.size(), 0);
  RunToEnd(after);
  ExpectPlain(*after, Spec(9000));
  EXPECT_EQ(after->ended.moves(), 1);
}

// It goes on there too when its client leaves again, with tokens that are not
// made again yet.
TEST_F(LeftTurnsTest, GoesOnAtTheCoordinatorThatHasIt) {
  FakeClient* client = Connect(a_);
  v1::TurnRequest turn;
  turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
  turn.set_timeout_ms(600000);
  client->Start(kPrompt, 400, turn);
  RunUntil([client] { return client->tokens.size() > 60; });
  Kill(a_);
  client = Resume(b_, *client);
  RunUntil([client] { return client->has_started; });
  client->Leave();
  RunUntil([client] { return client->finished.has_value(); });
  EXPECT_EQ(b_->left_turns.size(), 1u);
  RunUntil([this] { return b_->left_turns.size() == 0; });
  client = Resume(b_, *client);
  RunToEnd(client);
  ExpectPlain(*client, Spec(400));
  EXPECT_EQ(b_->link->opened, 1);
}

TEST_F(LeftTurnsTest, ATurnsOwnTimeEndsIt) {
  v1::TurnRequest turn;
  turn.set_timeout_ms(1000);
  FakeClient* const client = StartAndLeave(9000, 60000, turn);
  RunUntilItRests();
  EXPECT_EQ(Stored(*client).end_reason, FinishReason::kDeadline);
  FakeClient* const again = Resume(a_, *client);
  RunToEnd(again);
  EXPECT_EQ(again->ended.finish_reason(), v1::FINISH_REASON_DEADLINE);
  ExpectPlain(*again, Spec(static_cast<int>(again->tokens.size())));
}

TEST_F(LeftTurnsTest, ItsTokensAreCountedAndWaitWhereMemoryIsShort) {
  FakeClient* const client = StartAndLeave(9000, 60000);
  const int64_t before = a_->memory.bytes(MemoryKind::kSessions);
  RunFor(std::chrono::seconds(1));
  EXPECT_GT(a_->memory.bytes(MemoryKind::kSessions), before + 1000);
  a_->memory.Add(MemoryKind::kTexts, "other", a_->memory.bytes_max());
  RunUntilItRests();
  a_->memory.Add(MemoryKind::kTexts, "other", -a_->memory.bytes_max());
  EXPECT_FALSE(Stored(*client).end_reason.has_value());
  // What rests is idle: it goes for who needs the memory, and is in the store.
  FakeClient* const again = Resume(a_, *client);
  RunToEnd(again);
  ExpectPlain(*again, Spec(9000));
}

TEST_F(LeftTurnsTest, AllWaitFromStopOn) {
  FakeClient* const first = StartAndLeave(5000, 60000);
  a_->left_turns.Stop();
  RunUntilItRests();
  EXPECT_FALSE(Stored(*first).end_reason.has_value());
  EXPECT_GE(Stored(*first).generated.size(), first->tokens.size());
  // A server that drains lets none go on.
  FakeClient* const again = Resume(a_, *first);
  RunUntil([again, first] {
    return again->tokens.size() > first->tokens.size() + 50;
  });
  a_->services.draining.store(true);
  again->Leave();
  RunUntil([again] { return again->finished.has_value(); });
  EXPECT_EQ(a_->left_turns.size(), 0u);
  EXPECT_EQ(a_->link->streams, 0);
}

TEST_F(LeftTurnsTest, ASessionThatIsDeletedTakesItsTurnWithIt) {
  FakeClient* const client = StartAndLeave(9000, 60000);
  store_.Delete({}, client->session_id,
                [](absl::Status status) { ASSERT_TRUE(status.ok()); });
  RunUntilItRests();
  EXPECT_EQ(a_->sessions.size(), 0);
}

TEST_F(LeftTurnsTest, AStoreThatIsAwayHoldsNothingUp) {
  FakeClient* const client = StartAndLeave(500, 60000);
  const int calls = store_.calls(StoreCall::kTokens);
  store_.Fail(StoreCall::kTokens, {.first = calls + 1, .last = calls + 5});
  RunUntilItRests();
  EXPECT_EQ(Stored(*client).generated.size(), 500u);
}

TEST_F(LeftTurnsTest, MayGoWhileATurnGoesOn) {
  EventLoop loop(&clock_);
  {
    SessionStore sessions(&loop, SessionLimits(), &a_->limits, &a_->memory);
    LeftTurns left(&loop, &sessions, &a_->memory);
    a_->services.loop = &loop;
    a_->services.sessions = &sessions;
    a_->services.left_turns = &left;
    a_->services.loader = nullptr;
    FakeClient client(&a_->services, "tenant", SessionUse::kConversation);
    v1::TurnRequest turn;
    turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
    client.Start(kPrompt, 5000, turn);
    while (client.tokens.size() < 20) {
      if (!loop.RunReady()) clock_.AdvanceTo(*loop.NextTimer());
    }
    client.Leave();
    while (loop.RunReady()) {
    }
    EXPECT_EQ(left.size(), 1u);
  }
  while (loop.RunReady()) {
  }
  EXPECT_EQ(a_->quotas.turns(), 0);
  EXPECT_EQ(a_->link->streams, 0);
}

}  // namespace
}  // namespace tandem
