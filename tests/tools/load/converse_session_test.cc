#include "tools/load/converse_session.h"

#include "tests/tools/load/session_test_util.h"

namespace tandem::load {
namespace {

using ConverseSessionTest = SessionTest<ConverseSession>;

TEST_F(ConverseSessionTest, TurnsOfASessionShareOneStream) {
  common_.mutable_options()->set_ignore_eos(true);
  const auto session = NewSession();
  for (int turn = 0; turn < 3; ++turn) {
    const TurnOutcome outcome = RunOneTurn(session.get());
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.finish_reason, "length");
    EXPECT_EQ(outcome.figures.rounds, 2);
    EXPECT_EQ(outcome.figures.rpc_us, 900);
  }
  EXPECT_EQ(tokens_, 15);
  EXPECT_EQ(events_, 6);
  const std::vector<v1::TurnRequest> turns = server_.turns();
  ASSERT_EQ(turns.size(), 3u);
  EXPECT_EQ(turns[0].session_id(), "");
  EXPECT_EQ(turns[2].session_id(), "session 1");
  EXPECT_EQ(turns[2].tokens().ids_size(), 3);
  EXPECT_EQ(turns[2].options().max_tokens(), 5);
  EXPECT_EQ(turns[2].options().draft_length(), 3);
  EXPECT_EQ(turns[2].options().seed(), 42u);
  EXPECT_TRUE(turns[2].options().ignore_eos());
}

TEST_F(ConverseSessionTest, CancelEndsATurnByItsOwnEvent) {
  server_.waits_for_cancel = true;
  const auto session = NewSession();
  RecordingObserver observer;
  session->Start(SmallTurn(), &observer);
  observer.has_tokens.WaitForNotification();
  session->Cancel();
  observer.has_ended.WaitForNotification();
  EXPECT_TRUE(observer.outcome.status.ok());
  EXPECT_EQ(observer.outcome.finish_reason, "cancelled");
}

TEST_F(ConverseSessionTest, AbortEndsATurnWhateverTheServerDoes) {
  server_.waits_for_cancel = true;
  const auto session = NewSession();
  RecordingObserver observer;
  session->Start(SmallTurn(), &observer);
  observer.has_tokens.WaitForNotification();
  session->Abort();
  observer.has_ended.WaitForNotification();
  EXPECT_EQ(observer.outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(ConverseSessionTest, AnErrorEndsTheTurnAndTheSession) {
  server_.error = absl::ResourceExhaustedError("full");
  const auto session = NewSession();
  EXPECT_EQ(RunOneTurn(session.get()).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RunOneTurn(session.get()).status.code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_.turns().size(), 1u);
}

TEST_F(ConverseSessionTest, AStreamThatEndsBeforeItsTurnIsAnError) {
  server_.ends_early = true;
  const auto session = NewSession();
  EXPECT_EQ(RunOneTurn(session.get()).status.code(),
            absl::StatusCode::kInternal);
}

TEST_F(ConverseSessionTest, ASessionWithoutATurnEndsToo) { NewSession(); }

}  // namespace
}  // namespace tandem::load
