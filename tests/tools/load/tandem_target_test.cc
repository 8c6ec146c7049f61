#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/tools/load/fake_generation.h"
#include "tests/tools/load/recording_observer.h"
#include "tools/load/load_run.h"
#include "tools/load/load_target.h"

namespace tandem::load {
namespace {

LoadTurn SmallTurn() {
  LoadTurn turn;
  turn.prompt = {7, 8, 9};
  turn.output_tokens = 5;
  turn.seed = 42;
  turn.draft_length = 3;
  return turn;
}

class TandemTargetTest : public ::testing::Test {
 protected:
  TandemTargetTest() {
    v1::TurnRequest common;
    common.set_model_id("m");
    common.mutable_options()->set_ignore_eos(true);
    common.mutable_options()->mutable_response_format()->set_regex("a+");
    std::vector<std::unique_ptr<client::Client>> clients;
    for (int i = 0; i < 2; ++i) {
      auto client = client::Client::Make({.address = server_.address()});
      EXPECT_TRUE(client.ok()) << client.status();
      clients.push_back(*std::move(client));
    }
    target_ = MakeTandemTarget(std::move(clients), common);
  }

  TurnOutcome RunOneTurn(LoadSession* session) {
    RecordingObserver observer;
    const TurnOutcome outcome = RunTurn(session, SmallTurn(), &observer);
    tokens_ += observer.tokens;
    events_ += observer.events;
    return outcome;
  }

  FakeGeneration server_;
  std::unique_ptr<LoadTarget> target_;
  int64_t tokens_ = 0;
  int events_ = 0;
};

TEST_F(TandemTargetTest, TurnsOfASessionGoOnInIt) {
  const auto session = target_->NewSession();
  for (int turn = 0; turn < 3; ++turn) {
    const TurnOutcome outcome = RunOneTurn(session.get());
    EXPECT_TRUE(outcome.status.ok()) << outcome.status;
    EXPECT_EQ(outcome.finish_reason, "length");
    EXPECT_EQ(outcome.speculation.rounds(), 2);
    EXPECT_EQ(outcome.speculation.rpc_us(), 900);
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
  EXPECT_EQ(turns[2].model_id(), "m");
}

TEST_F(TandemTargetTest, ATurnMayLeaveTheFormatOut) {
  for (const bool with_format : {true, false}) {
    LoadTurn turn = SmallTurn();
    turn.with_format = with_format;
    RecordingObserver observer;
    const auto session = target_->NewSession();
    EXPECT_TRUE(RunTurn(session.get(), turn, &observer).status.ok());
    const v1::GenerationOptions options = server_.turns().back().options();
    EXPECT_EQ(options.response_format().regex(), with_format ? "a+" : "");
    EXPECT_EQ(options.has_response_format(), with_format);
  }
}

TEST_F(TandemTargetTest, CancelEndsATurnByItsOwnEvent) {
  server_.waits_for_cancel = true;
  const auto session = target_->NewSession();
  RecordingObserver observer;
  session->Start(SmallTurn(), &observer);
  observer.has_tokens.WaitForNotification();
  session->Cancel();
  observer.has_ended.WaitForNotification();
  EXPECT_TRUE(observer.outcome.status.ok());
  EXPECT_EQ(observer.outcome.finish_reason, "cancelled");
}

TEST_F(TandemTargetTest, AbortEndsATurnWhateverTheServerDoes) {
  server_.waits_for_cancel = true;
  const auto session = target_->NewSession();
  RecordingObserver observer;
  session->Start(SmallTurn(), &observer);
  observer.has_tokens.WaitForNotification();
  session->Abort();
  observer.has_ended.WaitForNotification();
  EXPECT_EQ(observer.outcome.status.code(), absl::StatusCode::kCancelled);
}

TEST_F(TandemTargetTest, AnErrorEndsTheTurn) {
  server_.error = absl::ResourceExhaustedError("full");
  const auto session = target_->NewSession();
  EXPECT_EQ(RunOneTurn(session.get()).status.code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(TandemTargetTest, AStreamThatEndsBeforeItsTurnIsAnError) {
  server_.ends_early = true;
  const auto session = target_->NewSession();
  EXPECT_EQ(RunOneTurn(session.get()).status.code(),
            absl::StatusCode::kInternal);
}

TEST_F(TandemTargetTest, ASessionWithoutATurnEndsToo) { target_->NewSession(); }

TEST_F(TandemTargetTest, ManySessionsShareTheConnections) {
  LoadOptions options;
  options.sessions = 8;
  options.turns = 2;
  options.requests = 48;
  LoadRun run(options, TurnSource(options, 100), target_.get(), nullptr);
  const LoadFigures figures = run.Run();
  EXPECT_EQ(figures.turns_ended, 48);
  EXPECT_EQ(figures.turns_failed, 0);
  EXPECT_EQ(figures.generated_tokens, 48 * 5);
  EXPECT_EQ(figures.event_gap_us.count(), 48);
  EXPECT_EQ(figures.speculation.rounds(), 96);
  EXPECT_EQ(figures.round_rpc_us.count(), 48);
  const std::vector<v1::TurnRequest> turns = server_.turns();
  ASSERT_EQ(turns.size(), 48u);
  int continued = 0;
  for (const v1::TurnRequest& turn : turns) {
    continued += turn.session_id().empty() ? 0 : 1;
  }
  // The end may fall between the two turns of each session.
  EXPECT_LE(continued, 24);
  EXPECT_GE(continued, 20);
}

}  // namespace
}  // namespace tandem::load
