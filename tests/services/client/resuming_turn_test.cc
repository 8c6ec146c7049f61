#include "services/client/resuming_turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/client/client.h"
#include "services/common/status_conversion.h"
#include "tests/services/client/fake_turns.h"

namespace tandem::client {
namespace {

using ::testing::HasSubstr;

grpc::Status Lost() {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
}

class ResumingTurnTest : public ::testing::Test {
 protected:
  explicit ResumingTurnTest() { MakeClient(absl::Seconds(30)); }

  void MakeClient(absl::Duration resume_for) {
    auto client =
        Client::Make({.address = service_.address(), .resume_for = resume_for});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  // Of which every loss is noted.
  CallOptions Noting() {
    return {.on_lost = [this](const LostConnection& lost) {
      losses_.push_back(lost);
    }};
  }

  Received Run(v1::TurnRequest request = {}) {
    const auto stream = client_->Start(std::move(request), Noting());
    return ReadAll(stream.get());
  }

  void ExpectWhole(const Received& received) {
    EXPECT_TRUE(received.error.ok()) << received.error;
    EXPECT_EQ(received.started, 1);
    std::vector<int32_t> tokens(FakeTurns::kTokens);
    std::iota(tokens.begin(), tokens.end(), 100);
    EXPECT_EQ(received.tokens, tokens);
    EXPECT_EQ(received.text, service_.Text());
    EXPECT_EQ(received.finish_reason, v1::FINISH_REASON_LENGTH);
  }

  FakeTurns service_;
  std::vector<LostConnection> losses_;
  std::unique_ptr<Client> client_;
};

TEST_F(ResumingTurnTest, GoesOnWhereverTheConnectionIsLost) {
  for (const bool resets : {false, true}) {
    for (int events = 1; events <= FakeTurns::kTokens + 1; ++events) {
      SCOPED_TRACE(absl::StrCat("after ", events, " events"));
      losses_.clear();
      service_.Expect({{.events = events, .status = Lost(), .resets = resets}});
      ExpectWhole(Run());
      ASSERT_EQ(losses_.size(), 1u);
      EXPECT_EQ(losses_[0].attempt, 1);
      EXPECT_FALSE(losses_[0].error.ok());
      // A reset may overtake events, also `started`.
      if (resets && service_.firsts().back().has_start()) continue;
      const v1::ResumeRequest resume = service_.firsts().back().resume();
      EXPECT_EQ(resume.session_id(), "s1");
      EXPECT_EQ(resume.turn(), 1);
      EXPECT_LE(resume.tokens_received(), events - 1);
      if (!resets) {
        EXPECT_EQ(resume.tokens_received(), events - 1);
      }
    }
  }
}

TEST_F(ResumingTurnTest, GoesOnInsideThePromptsLogProbabilities) {
  service_.prompt_tokens = 4;
  for (int events = 1; events <= 6; ++events) {
    SCOPED_TRACE(absl::StrCat("after ", events, " events"));
    service_.Expect({{.events = events, .status = Lost()}});
    const auto stream = client_->Start({}, Noting());
    std::vector<int32_t> prompt;
    std::vector<int32_t> tokens;
    while (true) {
      const NextEvent next = stream->Next();
      ASSERT_TRUE(next.ok()) << next.status();
      if (!next->has_value()) break;
      for (const int32_t id : (*next)->prompt().token_ids()) {
        prompt.push_back(id);
      }
      for (const int32_t id : (*next)->tokens().token_ids()) {
        tokens.push_back(id);
      }
    }
    EXPECT_EQ(prompt, (std::vector<int32_t>{50, 51, 52, 53}));
    EXPECT_EQ(tokens.size(), static_cast<size_t>(FakeTurns::kTokens));
    EXPECT_EQ(stream->position().prompt_tokens, 4);
    const v1::ResumeRequest resume = service_.firsts().back().resume();
    EXPECT_EQ(resume.prompt_tokens_received(), std::min(events - 1, 4));
    EXPECT_EQ(resume.tokens_received(), std::max(events - 5, 0));
  }
}

TEST_F(ResumingTurnTest, GoesOnAfterOneLossAndTheNext) {
  service_.Expect({{.events = 2, .status = Lost()},
                   {.events = 1, .status = Lost()},
                   {.events = 3, .status = Lost()},
                   {.events = 0, .status = Lost()}});
  ExpectWhole(Run());
  ASSERT_EQ(losses_.size(), 4u);
  // Tokens came between the second and the third.
  EXPECT_EQ(losses_[1].attempt, 2);
  EXPECT_EQ(losses_[2].attempt, 1);
  EXPECT_EQ(losses_[3].attempt, 2);
  EXPECT_EQ(service_.firsts().size(), 5u);
}

TEST_F(ResumingTurnTest, ATurnThatWaitsForAWorkerIsResumedWhenTheServiceSays) {
  service_.Expect(
      {{.events = 3, .status = ToGrpcStatus(Exhausted("no place", 400))}});
  ExpectWhole(Run());
  ASSERT_EQ(losses_.size(), 1u);
  EXPECT_GE(losses_[0].wait, absl::Milliseconds(400));
}

TEST_F(ResumingTurnTest, AnotherErrorOfTheServiceIsFinal) {
  service_.Expect(
      {{.events = 3, .status = ToGrpcStatus(WrongState("taken over"))}});
  const Received received = Run();
  EXPECT_EQ(received.tokens.size(), 2u);
  EXPECT_EQ(GetErrorDetail(received.error)->reason, kReasonWrongState);
  EXPECT_EQ(received.error.message(), "taken over");
  EXPECT_TRUE(losses_.empty());
}

TEST_F(ResumingTurnTest, ASessionThatIsGoneKeepsItsReason) {
  service_.Expect(
      {{.events = 3, .status = Lost()},
       {.events = 0,
        .status = ToGrpcStatus(MakeError(absl::StatusCode::kNotFound,
                                         {.reason = kReasonUnknownSession},
                                         "no such session"))}});
  const Received received = Run();
  EXPECT_EQ(GetErrorDetail(received.error)->reason, kReasonUnknownSession);
  EXPECT_EQ(received.error.message(),
            "after a lost connection: no such session");
}

TEST_F(ResumingTurnTest, TheBudgetEnds) {
  MakeClient(absl::Milliseconds(700));
  service_.Expect(
      std::deque<StreamScript>(100, {.events = 1, .status = Lost()}));
  const absl::Time began = MonotonicNow();
  const Received received = Run();
  EXPECT_EQ(received.error.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(received.started, 1);
  // `started` again is no progress. 50 ms at least, then 100 ms...
  EXPECT_GE(losses_.size(), 1u);
  EXPECT_LE(losses_.size(), 6u);
  EXPECT_LT(MonotonicNow() - began, absl::Seconds(20));
}

TEST_F(ResumingTurnTest, NoBudgetNoResume) {
  MakeClient(absl::ZeroDuration());
  service_.Expect({{.events = 2, .status = Lost()}});
  const Received received = Run();
  EXPECT_EQ(received.error.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(received.error.message(), "Socket closed");
  EXPECT_EQ(service_.firsts().size(), 1u);
}

TEST_F(ResumingTurnTest, AStartThatMayHaveRunIsSentAgainOnceWithoutASession) {
  v1::TurnRequest request;
  request.set_text("p");
  service_.Expect({{.events = 0, .status = Lost()}});
  ExpectWhole(Run(request));
  ASSERT_EQ(service_.firsts().size(), 2u);
  EXPECT_EQ(service_.firsts()[1].start().text(), "p");

  service_.Expect(std::deque<StreamScript>(3, {.events = 0, .status = Lost()}));
  const Received received = Run(request);
  EXPECT_EQ(received.error.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(service_.firsts().size(), 4u);
}

TEST_F(ResumingTurnTest, AStartInASessionIsSentOnce) {
  v1::TurnRequest request;
  request.set_session_id("s1");
  service_.Expect({{.events = 0, .status = Lost()}});
  const Received received = Run(request);
  EXPECT_EQ(received.error.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(received.error.message()),
              HasSubstr("it may have run: Socket closed"));
  EXPECT_EQ(service_.firsts().size(), 1u);
}

TEST_F(ResumingTurnTest, AnAnswerBeforeStartedIsFinal) {
  service_.Expect({{.events = 0, .status = ToGrpcStatus(NoWorker("none"))}});
  const Received received = Run();
  EXPECT_EQ(GetErrorDetail(received.error)->reason, kReasonNoWorker);
  EXPECT_EQ(service_.firsts().size(), 1u);
}

TEST_F(ResumingTurnTest, AStartWaitsForTheServicesStore) {
  const grpc::Status away = ToGrpcStatus(MakeError(
      absl::StatusCode::kUnavailable,
      {.reason = kReasonStoreUnavailable, .retry_delay_ms = 100}, "away"));
  v1::TurnRequest request;
  for (const char* session : {"", "s1"}) {
    request.set_session_id(session);
    losses_.clear();
    service_.Expect(std::deque<StreamScript>(3, {.events = 0, .status = away}));
    ExpectWhole(Run(request));
    ASSERT_EQ(losses_.size(), 3u);
    EXPECT_GE(losses_[0].wait, absl::Milliseconds(100));
  }
  MakeClient(absl::Milliseconds(300));
  service_.Expect(std::deque<StreamScript>(9, {.events = 0, .status = away}));
  const Received received = Run();
  EXPECT_EQ(received.error.message(), "away");
  EXPECT_EQ(GetErrorDetail(received.error)->reason, kReasonStoreUnavailable);
}

TEST_F(ResumingTurnTest, AStreamThatEndsBeforeItsTurnIsAnError) {
  service_.Expect({{.events = 2}});
  const Received received = Run();
  EXPECT_EQ(received.error.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(received.error.message(),
            "the stream ended before the turn; ask again");
}

TEST_F(ResumingTurnTest, TokensThatDoNotFollowAreAnError) {
  service_.Expect(
      {{.events = 3, .status = Lost()}, {.events = -1, .token_shift = 1}});
  const Received received = Run();
  EXPECT_EQ(received.error.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(received.error.message()),
              HasSubstr("token 3 where token 2 is next"));
  EXPECT_EQ(received.tokens.size(), 2u);
}

TEST_F(ResumingTurnTest, CancelOutlastsALostConnection) {
  service_.waits_for_cancel = true;
  service_.Expect({{.events = 2, .status = Lost()}});
  const auto stream = client_->Start({}, Noting());
  stream->Cancel();
  const Received received = ReadAll(stream.get());
  EXPECT_EQ(received.finish_reason, v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(losses_.size(), 1u);
}

TEST_F(ResumingTurnTest, LeaveEndsTheWaitForTheNextAttempt) {
  service_.Expect(
      {{.events = 2, .status = ToGrpcStatus(Exhausted("later", 20000))}});
  std::shared_ptr<TurnStream> stream;
  absl::Notification lost;
  stream = client_->Start(
      {}, {.on_lost = [&lost](const LostConnection&) { lost.Notify(); }});
  ASSERT_TRUE(ReadAll(stream.get(), 2).error.ok());
  absl::Notification done;
  absl::Status error;
  stream->Next([&done, &error](const NextEvent& next) {
    error = next.status();
    done.Notify();
  });
  lost.WaitForNotification();
  stream->Leave();
  EXPECT_TRUE(done.HasBeenNotified());
  EXPECT_EQ(error.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stream->position().tokens, 1);
}

TEST_F(ResumingTurnTest, ResumeTriesFromItsFirstConnectionOn) {
  service_.Expect({{.events = 0, .status = Lost()}});
  const auto stream = client_->Resume(
      {.session_id = "s1", .turn = 1, .tokens = 4, .text_bytes = 9}, Noting());
  const Received received = ReadAll(stream.get());
  EXPECT_TRUE(received.error.ok()) << received.error;
  EXPECT_EQ(received.started, 1);
  EXPECT_EQ(received.tokens, (std::vector<int32_t>{104, 105}));
  EXPECT_EQ(received.text, service_.Text().substr(9));
  EXPECT_EQ(losses_.size(), 1u);
}

}  // namespace
}  // namespace tandem::client
