#include "tools/load/generate_session.h"

#include "tests/tools/load/session_test_util.h"

namespace tandem::load {
namespace {

using GenerateSessionTest = SessionTest<GenerateSession>;

TEST_F(GenerateSessionTest, TurnsContinueTheSessionInCallsOfTheirOwn) {
  const auto session = NewSession();
  for (int turn = 0; turn < 3; ++turn) {
    const TurnOutcome outcome = RunOneTurn(session.get());
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.finish_reason, "length");
    EXPECT_EQ(outcome.figures.drafted_tokens, 6);
    EXPECT_EQ(outcome.figures.accepted_tokens, 3);
  }
  EXPECT_EQ(tokens_, 15);
  const std::vector<v1::TurnRequest> turns = server_.turns();
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_EQ(turns[0].session_id(), "");
  EXPECT_EQ(turns[1].session_id(), "session 1");
  EXPECT_EQ(turns[2].session_id(), "session 1");
}

TEST_F(GenerateSessionTest, CancelEndsTheCall) {
  server_.waits_for_cancel = true;
  const auto session = NewSession();
  RecordingObserver observer;
  session->Start(SmallTurn(), &observer);
  observer.has_tokens.WaitForNotification();
  session->Cancel();
  observer.has_ended.WaitForNotification();
  EXPECT_EQ(observer.outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(GenerateSessionTest, ErrorsAndEarlyEndsAreTheTurns) {
  server_.error = absl::UnavailableError("away");
  EXPECT_EQ(RunOneTurn(NewSession().get()).status.code(),
            absl::StatusCode::kUnavailable);
  server_.error = absl::OkStatus();
  server_.ends_early = true;
  EXPECT_EQ(RunOneTurn(NewSession().get()).status.code(),
            absl::StatusCode::kInternal);
}

TEST_F(GenerateSessionTest, ASessionWithoutATurnEndsToo) { NewSession(); }

}  // namespace
}  // namespace tandem::load
