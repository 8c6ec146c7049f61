#include "services/coordinator/turn/score_lane.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::seconds;
using State = ScoreLane::State;

class ScoreLaneTest : public ::testing::Test, public ScoreLaneOwner {
 protected:
  ScoreLaneTest() : loop_(&clock_) {
    AddTarget("t1");
    context_.loop = &loop_;
    context_.directory = &directory_;
    context_.tenant = "tenant";
    context_.model_id = "fake";
    for (int i = 0; i < 40; ++i) tokens_.push_back(3 + i % 11);
  }

  FakeLink* AddTarget(const std::string& name,
                      const std::string& fingerprint = "fp") {
    auto link = std::make_shared<FakeLink>(seed_++, fingerprint);
    directory_.targets[name] = {.link = link, .fingerprint = fingerprint};
    return link.get();
  }
  FakeLink* target() { return directory_.targets["t1"].link.get(); }

  void OnLaneChanged() override { ++changes_; }

  void Start(Position score_from = 10) {
    lane_.emplace(
        &context_, this,
        ScoreLane::Sequence{
            .number = 1, .tokens = tokens_, .score_from = score_from});
    lane_->Start();
    EXPECT_EQ(changes_, 0);
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 100000 && !done(); ++i) {
      if (loop_.RunReady()) continue;
      ASSERT_TRUE(loop_.NextTimer().has_value());
      clock_.AdvanceTo(*loop_.NextTimer());
    }
    ASSERT_TRUE(done());
  }
  void RunToEnd() {
    RunUntil([this] { return lane_->state() != State::kRunning; });
  }
  void ExpectScores(Position from = 10) {
    ASSERT_EQ(lane_->state(), State::kDone) << lane_->status();
    const std::vector<ScoredToken> scores =
        FakeScores(tokens_, from, tokens_.size());
    ASSERT_EQ(lane_->logprobs().size(), scores.size());
    EXPECT_TRUE(lane_->alternatives().empty());
    bool is_greedy = true;
    for (size_t i = 0; i < scores.size(); ++i) {
      EXPECT_EQ(lane_->logprobs()[i], scores[i].token.logprob);
      is_greedy = is_greedy && scores[i].is_greedy;
    }
    EXPECT_EQ(lane_->is_greedy(), is_greedy);
  }
  std::string Reason() const {
    const auto detail = GetErrorDetail(lane_->status());
    return detail.has_value() ? detail->reason : "";
  }

  uint32_t seed_ = 1;
  FakeClock clock_;
  EventLoop loop_;
  FakeDirectory directory_;
  ScoreContext context_;
  std::vector<TokenId> tokens_;
  int changes_ = 0;
  std::optional<ScoreLane> lane_;
};

TEST_F(ScoreLaneTest, TakesTheScoresOfOneSequence) {
  Start();
  RunToEnd();
  ExpectScores();
  EXPECT_TRUE(context_.is_begun);
  EXPECT_EQ(context_.fingerprint, "fp");
  EXPECT_EQ(target()->streams, 0);  // its KV is free
  const OpenRequest& open = target()->last_open;
  EXPECT_EQ(open.score_from, 10);
  EXPECT_EQ(open.tokens, tokens_);
  EXPECT_EQ(open.tokens_max, 40);
  EXPECT_EQ(open.tenant, "tenant");
  EXPECT_EQ(open.fingerprint, "fp");
  EXPECT_EQ(directory_.computed["t1"], 40u);
}

TEST_F(ScoreLaneTest, KeepsAlternativesOverLostWorkers) {
  AddTarget("t2")->faults = {.close = 150};
  target()->faults = {.close = 150};
  for (int i = 0; i < 20; ++i) {
    lane_.emplace(&context_, this,
                  ScoreLane::Sequence{.number = 1,
                                      .tokens = tokens_,
                                      .score_from = 10,
                                      .alternatives = 3});
    lane_->Start();
    RunToEnd();
    ASSERT_EQ(lane_->state(), State::kDone) << lane_->status();
    const std::vector<ScoredToken> scores =
        FakeScores(tokens_, 10, tokens_.size(), 3);
    ASSERT_EQ(lane_->logprobs().size(), scores.size());
    ASSERT_EQ(lane_->alternatives().size(), scores.size());
    for (size_t k = 0; k < scores.size(); ++k) {
      EXPECT_EQ(lane_->logprobs()[k], scores[k].token.logprob);
      EXPECT_EQ(lane_->alternatives()[k], scores[k].token.alternatives);
    }
  }
  EXPECT_EQ(target()->last_open.score_alternatives, 3);
}

// A link that gives each score another alternative than the fake worker's.
class WrongAlternatives : public FakeLink {
 public:
  explicit WrongAlternatives(TokenLogprob wrong)
      : FakeLink(1, "fp"), wrong_(wrong) {}
  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override {
    to_.events = events;
    to_.wrong = wrong_;
    return FakeLink::Open(std::move(request), loop, &to_, deadline);
  }

 private:
  struct Events : WorkerStreamEvents {
    void OnOpened(const OpenedSequence& opened) override {
      events->OnOpened(opened);
    }
    void OnAnswer(WorkerAnswer answer) override { events->OnAnswer(answer); }
    void OnScored(WorkerScores scores) override {
      scores.tokens.back().token.alternatives = {wrong};
      events->OnScored(scores);
    }
    void OnClosed(const absl::Status& status) override {
      events->OnClosed(status);
    }
    WorkerStreamEvents* events = nullptr;
    TokenLogprob wrong;
  };

  const TokenLogprob wrong_;
  Events to_;
};

TEST_F(ScoreLaneTest, AlternativesThatAreNoneLoseTheWorker) {
  for (const auto& [wrong, asked] : std::vector<std::pair<TokenLogprob, int>>{
           {{.id = -1, .logprob = -1}, 1},
           {{.id = 1, .logprob = 0.5}, 1},
           {{.id = 1, .logprob = std::nanf("")}, 1},
           {{.id = 1, .logprob = -1}, 0}}) {  // was not asked for
    changes_ = 0;
    directory_.targets["t1"].link = std::make_shared<WrongAlternatives>(wrong);
    lane_.emplace(&context_, this,
                  ScoreLane::Sequence{.number = 1,
                                      .tokens = tokens_,
                                      .score_from = 10,
                                      .alternatives = asked});
    lane_->Start();
    RunToEnd();
    EXPECT_EQ(lane_->state(), State::kFailed);
    EXPECT_TRUE(lane_->logprobs().empty());
    lane_.reset();
  }
}

TEST_F(ScoreLaneTest, IsGreedyWhereEachTokenIs) {
  tokens_ = {3, 4, 8};
  while (!FakeScores(tokens_, 2, 1)[0].is_greedy) ++tokens_[2];
  Start(2);
  RunToEnd();
  ExpectScores(2);
  EXPECT_TRUE(lane_->is_greedy());
}

TEST_F(ScoreLaneTest, GoesOnElsewhereFromWhereItStands) {
  FakeLink* const second = AddTarget("t2");
  target()->faults = {.close = 150};
  second->faults = {.close = 150};
  for (int i = 0; i < 50; ++i) {
    changes_ = 0;
    Start();
    RunToEnd();
    ExpectScores();
  }
  EXPECT_GT(second->opened, 5);
  EXPECT_GT(second->last_open.score_from, 10);
}

TEST_F(ScoreLaneTest, WhatWasNotAskedForLosesTheWorker) {
  AddTarget("t2");
  for (const FakeFaults& faults :
       {FakeFaults{.unasked = 1000}, FakeFaults{.garbage = 1000}}) {
    changes_ = 0;
    target()->faults = faults;
    Start();
    RunToEnd();
    ExpectScores();
  }
}

TEST_F(ScoreLaneTest, GivesUpAfterSoManyWorkers) {
  context_.is_begun = true;
  target()->faults.open_close = 1000;
  Start();
  RunToEnd();
  EXPECT_EQ(lane_->state(), State::kFailed);
  EXPECT_EQ(Reason(), kReasonNoWorker);
  EXPECT_EQ(target()->opened, context_.limits.target_opens_max);
}

TEST_F(ScoreLaneTest, LooksForAWorkerAsLongAsTheCallHasBegun) {
  for (const bool is_begun : {false, true}) {
    changes_ = 0;
    context_.is_begun = is_begun;
    directory_.targets["t1"].up = false;
    const MonotonicTime began = clock_.Now();
    Start();
    RunToEnd();
    EXPECT_EQ(Reason(), kReasonNoWorker);
    const MonotonicDuration budget = is_begun ? context_.limits.recovery_budget
                                              : context_.limits.opening_budget;
    EXPECT_GE(clock_.Now() - began, budget);
    EXPECT_LE(clock_.Now() - began, budget + seconds(4));
  }
  // One that comes in that time is taken.
  changes_ = 0;
  Start();
  loop_.SetTimer(clock_.Now() + seconds(3),
                 [this] { directory_.targets["t1"].up = true; });
  RunToEnd();
  ExpectScores();
}

TEST_F(ScoreLaneTest, AnotherVersionOfTheModelIsNotTaken) {
  context_.fingerprint = "before";
  Start();
  RunToEnd();
  EXPECT_EQ(lane_->state(), State::kFailed);
  EXPECT_TRUE(absl::IsUnavailable(lane_->status()));
  EXPECT_NE(lane_->status().message().find("another version"),
            absl::string_view::npos);
  EXPECT_EQ(target()->opened, 0);
}

TEST_F(ScoreLaneTest, FullTargetsSayWhenToComeBack) {
  target()->faults = {.open_close = 1000,
                      .queues = true,
                      .close_status = Exhausted("no KV", 1234)};
  Start();
  RunToEnd();
  EXPECT_EQ(Reason(), kReasonExhausted);
  EXPECT_EQ(GetErrorDetail(lane_->status())->retry_delay_ms, 1234);
  EXPECT_EQ(target()->opened, 1);
  EXPECT_EQ(target()->last_open.queue_timeout, context_.limits.queue_timeout);
}

TEST_F(ScoreLaneTest, TheRequestsFaultEndsItAtOnce) {
  AddTarget("t2");
  target()->faults = {
      .open_close = 1000,
      .close_status = InvalidArgument(kReasonContextExceeded, "does not fit")};
  Start();
  RunToEnd();
  EXPECT_EQ(Reason(), kReasonContextExceeded);
}

TEST_F(ScoreLaneTest, APromptThatEndsWorkersIsQuarantined) {
  PromptQuarantine quarantine(&loop_, [] {});
  context_.quarantine = &quarantine;
  target()->faults.close = 1000;
  Start();
  RunToEnd();
  EXPECT_EQ(Reason(), kReasonPromptQuarantined);
  EXPECT_LE(target()->opened, 3);
}

TEST_F(ScoreLaneTest, WaitsNoLongerThanItsClient) {
  context_.deadline = clock_.Now() + seconds(2);
  Start();
  RunToEnd();
  ExpectScores();
  EXPECT_LE(target()->last_open.queue_timeout, seconds(2));
}

}  // namespace
}  // namespace tandem
