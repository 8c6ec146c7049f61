#include "services/coordinator/turn/target_lane.h"

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "services/coordinator/routing/router.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = TurnState;

using TargetLaneTest = TurnRunnerFixture;

TEST_F(TargetLaneTest, TellsWhatTheFirstTargetHadOfThePrompt) {
  drafter_->cached_tokens = 1;
  for (const int64_t cached : {0, 2, 1000, -5}) {
    tokens_.clear();
    target()->cached_tokens = cached;
    Start();
    EXPECT_EQ(runner_->usage().cached_prompt_tokens, 0);
    RunUntil([this] { return tokens_.size() >= 10; });
    // Of a prompt of 3 tokens.
    const int64_t told = std::clamp<int64_t>(cached, 0, 3);
    EXPECT_EQ(runner_->usage().cached_prompt_tokens, told);
    EXPECT_EQ(runner_->usage().prompt_tokens, 3);
    runner_->Suspend(absl::OkStatus());
    target()->cached_tokens = 1;
    runner_->Resume();
    RunToEnd();
    ExpectPlain();
    EXPECT_EQ(runner_->usage().cached_prompt_tokens, told);
  }
}

TEST_F(TargetLaneTest, CountsWaitingForKvWithinItsOwnTime) {
  target()->queued_us = int64_t{1} << 60;  // a clock that is wrong
  drafter_->queued_us = 3;
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  const int64_t first = runner_->times().queue_us;
  EXPECT_GT(first, 0);
  EXPECT_LE(first, runner_->times().first_token_us);
  // The next target's wait counts too.
  runner_->Suspend(absl::OkStatus());
  target()->queued_us = 2;
  runner_->Resume();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(runner_->times().queue_us, first + 2);
}

TEST_F(TargetLaneTest, GoesOnAtAnotherTargetWithTheCommittedTokens) {
  FakeLink* const second = AddTarget("t2");
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_GE(second->last_open.tokens.size(), spec_.prompt.size() + 20);
  EXPECT_EQ(second->last_open.generated_from, 3);
  EXPECT_EQ(runner_->target().moves(), 1);
}

TEST_F(TargetLaneTest, CountsWhereTheTurnWentOnElsewhere) {
  spec_.options.ignore_eos = true;
  Start();
  const auto run_on = [this] {
    const size_t tokens = tokens_.size() + 10;
    RunUntil([this, tokens] { return tokens_.size() >= tokens; });
    return runner_->target().moves();
  };
  EXPECT_EQ(run_on(), 0);
  // At the same target, which was full at first.
  runner_->Suspend(absl::OkStatus());
  target()->faults = {.open_close = 1000,
                      .close_status = absl::ResourceExhaustedError("full")};
  runner_->Resume();
  RunUntil([this] { return target()->opened > 1; });
  target()->faults = {};
  EXPECT_EQ(run_on(), 0);
  // At the same target, which was lost.
  target()->faults.close = 1000;
  RunUntil([this] { return target()->streams == 0; });
  target()->faults = {};
  EXPECT_EQ(run_on(), 1);
  // At another one.
  runner_->Suspend(absl::OkStatus());
  AddTarget("t2");
  directory_.targets["t1"].up = false;
  runner_->Resume();
  EXPECT_EQ(run_on(), 2);
  RunToEnd();
  EXPECT_EQ(runner_->target().moves(), 2);
  ExpectPlain();
}

// The real router over two workers: a worker that drains keeps the turn until
// it ends the stream; then the turn goes on at the other, and no new one comes.
TEST_F(TargetLaneTest, ATurnLeavesADrainingWorkerAtTheEndOfItsDrain) {
  std::vector<std::shared_ptr<FakeLink>> links;
  std::vector<WorkerInfo> workers;
  for (const char* address : {"a", "b"}) {
    links.push_back(std::make_shared<FakeLink>(seed_++, "fp"));
    WorkerInfo worker;
    worker.address = address;
    worker.usable = true;
    worker.model_id = "fake";
    worker.fingerprint = "fp";
    worker.vocabulary_fingerprint = "vocabulary";
    worker.context_max = 100000;
    worker.link = links.back();
    workers.push_back(std::move(worker));
  }
  workers[1].draining = true;
  spec_.options.ignore_eos = true;  // long enough
  Router router([&] { return std::make_shared<WorkerTable>(workers); }, 1);
  workers_ = &router;
  Start();
  RunUntil([this] { return tokens_.size() > 20; });
  EXPECT_EQ(links[0]->streams, 1);
  workers[0].draining = true;
  workers[1].draining = false;
  RunUntil([this] { return tokens_.size() > 40; });
  EXPECT_EQ(links[0]->opened, 1);
  EXPECT_EQ(links[0]->streams, 1);
  EXPECT_EQ(links[1]->opened, 0);
  links[0]->faults.close = 1000;
  links[0]->faults.close_status =
      MakeError(absl::StatusCode::kUnavailable,
                {.reason = kReasonDraining, .violations = {}}, "drained");
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(links[0]->opened, 1);
  EXPECT_EQ(links[1]->opened, 1);
  EXPECT_EQ(links[0]->streams + links[1]->streams, 0);
  EXPECT_GT(links[1]->last_open.tokens.size(), spec_.prompt.size() + 40);
  EXPECT_EQ(runner_->target().last_worker().name, "b");
  tokens_.clear();
  Start();
  EXPECT_EQ(links[0]->opened, 1);
  EXPECT_EQ(links[1]->opened, 2);
  runner_.reset();
}

TEST_F(TargetLaneTest, NeverGoesToAnotherFingerprint) {
  auto newer = std::make_shared<FakeLink>(seed_++, "another");
  directory_.targets["t2"] = {.link = newer, .fingerprint = "another"};
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  const MonotonicTime began = clock_.Now();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kSuspended);
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason, kReasonModelChanged);
  EXPECT_GE(clock_.Now() - began, limits_.recovery_budget);
  EXPECT_EQ(newer->opened, 0);
  ExpectReleased();
  // The turn can be resumed when the worker is back.
  directory_.targets["t1"].up = true;
  target()->faults.close = 0;
  runner_->Resume();
  RunToEnd();
  ExpectPlain();
}

// A client that knows of no turn yet may ask again, and gets the other model.
TEST_F(TargetLaneTest, AModelThatChangesBeforeTheTurnIsTakenIsNoWorker) {
  AddTarget("t2");
  directory_.targets["t2"].fingerprint = "another";
  target()->faults.open_close = 1000;
  Start();
  directory_.targets["t1"].up = false;
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_FALSE(runner_->taken());
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason, kReasonNoWorker);
}

TEST_F(TargetLaneTest, ATurnWithoutAnyTargetIsNoWorker) {
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kSuspended);
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason, kReasonNoWorker);
}

TEST_F(TargetLaneTest, WaitsForTheSameTargetToComeBack) {
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunUntil([this] { return target()->streams == 0; });
  const MonotonicTime lost = clock_.Now();
  RunUntil([&] { return clock_.Now() - lost > seconds(5); });
  EXPECT_EQ(runner_->state(), State::kRunning);
  directory_.targets["t1"].up = true;
  target()->faults.close = 0;
  RunToEnd();
  ExpectPlain();
}

TEST_F(TargetLaneTest, ATurnThatKillsWorkersStopsSoon) {
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  target()->faults.close = 1000;
  const int opened = target()->opened;
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kSuspended);
  EXPECT_LE(target()->opened - opened, limits_.target_opens_max);
}

TEST_F(TargetLaneTest, APromptThatKillsWorkersTakesTwoWithIt) {
  int convicted = 0;
  PromptQuarantine quarantine(&loop_, [&convicted] { ++convicted; });
  quarantine_ = &quarantine;
  std::vector<FakeLink*> links = {target(), AddTarget("t2"), AddTarget("t3")};
  const auto set_close = [&links](int per_mille) {
    for (FakeLink* const link : links) link->faults.close = per_mille;
  };
  const auto opened = [&links] {
    return links[0]->opened + links[1]->opened + links[2]->opened;
  };
  set_close(1000);
  Start();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason,
            kReasonPromptQuarantined);
  EXPECT_EQ(opened(), 2);
  EXPECT_EQ(convicted, 1);
  // Sent again, and another one.
  Start();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_FALSE(runner_->taken());
  EXPECT_EQ(opened(), 2);
  ExpectReleased();
  set_close(0);
  const TokenId last = std::exchange(spec_.prompt.back(), 281);
  Start();
  RunToEnd();
  ExpectPlain();
  // For ten minutes.
  spec_.prompt.back() = last;
  clock_.AdvanceTo(clock_.Now() + kQuarantineTime);
  tokens_.clear();
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(opened(), 4);
  runner_.reset();
}

// Workers that are killed at random: an answer in between clears the prompt.
TEST_F(TargetLaneTest, AnAnswerClearsAPromptOfSuspicion) {
  PromptQuarantine quarantine(&loop_, [] { FAIL(); });
  quarantine_ = &quarantine;
  FakeLink* const second = AddTarget("t2");
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  // The worker that has answered is no matter; the other one has not.
  for (size_t kills = 1; kills <= 10; ++kills) {
    target()->faults.close = 1000;
    second->faults.close = 1000;
    RunUntil([&] { return quarantine.suspects() > 0; });
    target()->faults.close = 0;
    second->faults.close = 0;
    RunUntil([&] { return tokens_.size() >= 20 * kills; });
    EXPECT_EQ(quarantine.suspects(), 0u);
  }
  RunToEnd();
  ExpectPlain();
  runner_.reset();
}

// What a worker says, or that nobody is there, is no death.
TEST_F(TargetLaneTest, OnlyDeathsMakeAPromptSuspect) {
  PromptQuarantine quarantine(&loop_, [] { FAIL(); });
  quarantine_ = &quarantine;
  target()->faults.close = 1000;
  for (const absl::Status& status :
       {Exhausted("full"), Draining("ends"), NoWorker("not reached"),
        absl::CancelledError("hung"), absl::InternalError("a bug")}) {
    target()->faults.close_status = status;
    Start();
    RunToEnd();
    EXPECT_FALSE(runner_->active());
    EXPECT_EQ(quarantine.suspects(), 0u) << status;
  }
  runner_.reset();
}

// One suspect after the other, so that the one at fault is found.
TEST_F(TargetLaneTest, ASuspectWaitsForTheTrialOfAnother) {
  PromptQuarantine quarantine(&loop_, [] { FAIL(); });
  quarantine_ = &quarantine;
  const auto hash = [this] { return HashPrompt("fp", spec_.prompt); };
  const PromptHash other = {1, 2};
  PromptQuarantine::Stay(&quarantine, other, "t1").OnDeath();
  PromptQuarantine::Stay(&quarantine, hash(), "t1").OnDeath();
  std::optional<PromptQuarantine::Stay> trial;
  trial.emplace(&quarantine, other, "t1");
  const MonotonicTime began = clock_.Now();
  Start();
  EXPECT_EQ(target()->opened, 0);
  RunUntil([&] { return clock_.Now() - began > milliseconds(200); });
  EXPECT_EQ(target()->opened, 0);
  trial->OnAnswer();
  trial.reset();
  RunToEnd();
  ExpectPlain();
  EXPECT_LT(clock_.Now() - began, seconds(1));
  EXPECT_EQ(quarantine.suspects(), 0u);
  runner_.reset();
}

TEST_F(TargetLaneTest, AFatalAnswerFailsTheTurn) {
  target()->faults.close_status =
      MakeError(absl::StatusCode::kInternal,
                {.reason = kReasonNumericCorruption, .violations = {}}, "NaN");
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  target()->faults.close = 1000;
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_TRUE(runner_->taken());
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason,
            kReasonNumericCorruption);
  EXPECT_EQ(target()->opened, 1);
}

TEST_F(TargetLaneTest, FullTargetsAreToldAtOnceBeforeTheTurnIsTaken) {
  const absl::Status full = absl::ResourceExhaustedError("no pages");
  target()->faults.close_status = full;
  target()->faults.open_close = 1000;
  AddTarget("t2")->faults = {.open_close = 1000, .close_status = full};
  const MonotonicTime began = clock_.Now();
  Start();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_FALSE(runner_->taken());
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_LT(clock_.Now() - began, milliseconds(50));
  EXPECT_EQ(directory_.targets["t2"].link->opened, 1);
}

TEST_F(TargetLaneTest, FullTargetsAreWaitedForInTheirQueues) {
  const absl::Status full = MakeError(
      absl::StatusCode::kResourceExhausted,
      {.reason = kReasonExhausted, .violations = {}, .retry_delay_ms = 4321},
      "no pages");
  target()->faults = {.open_close = 1000, .queues = true, .close_status = full};
  FakeLink* other = AddTarget("t2");
  other->faults = {.open_close = 1000, .queues = true, .close_status = full};
  limits_.queue_timeout = seconds(20);
  const MonotonicTime began = clock_.Now();
  Start();
  EXPECT_EQ(target()->last_open.queue_timeout, seconds(20));
  EXPECT_EQ(drafter_->last_open.queue_timeout, seconds(0));
  RunToEnd();
  // The other one is tried, but not waited for a second time.
  EXPECT_EQ(other->opened, 1);
  EXPECT_LT(other->last_open.queue_timeout, milliseconds(10));
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_GE(clock_.Now() - began, seconds(20));
  EXPECT_LT(clock_.Now() - began, seconds(21));
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kResourceExhausted);
  const std::optional<ErrorDetail> detail = GetErrorDetail(runner_->status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->retry_delay_ms, 4321);
}

TEST_F(TargetLaneTest, NoWaitIsLongerThanTheTurn) {
  timeout_ = seconds(3);
  Start();
  EXPECT_EQ(target()->last_open.queue_timeout, seconds(3));
  RunToEnd();
  ExpectPlain();
}

TEST_F(TargetLaneTest, AReplacedTargetMayQueueForTheRestOfTheRecovery) {
  Make();
  limits_.queue_timeout = seconds(60);
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  FakeLink* other = AddTarget("t2");
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(other->last_open.queue_timeout,
            limits_.recovery_budget - seconds(1));
  EXPECT_LE(other->last_open.queue_timeout, limits_.recovery_budget);
}

TEST_F(TargetLaneTest, ATargetThatBreaksTheProtocolFailsTheTurn) {
  // Opened with another fingerprint than the directory tells.
  auto link = std::make_shared<FakeLink>(5, "other");
  directory_.targets["t1"] = {.link = link};
  Start();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_FALSE(runner_->taken());
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TargetLaneTest, AnAnswerThatWasNotAskedForLosesTheTarget) {
  FakeLink* const second = AddTarget("t2");
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  target()->faults.unasked = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(target()->opened, 1);
  EXPECT_EQ(second->opened, 1);
  EXPECT_EQ(runner_->target().lost_status().code(),
            absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace tandem
