#include "services/coordinator/turn/turn_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/base/error_reason.h"
#include "services/coordinator/routing/router.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = TurnRunner::State;

using TurnRunnerTest = TurnRunnerFixture;

TEST_F(TurnRunnerTest, GivesThePlainTextAndFreesTheWorkers) {
  for (const int draft_length : {0, 1, 4, 16}) {
    tokens_.clear();
    spec_.options.draft_length = draft_length;
    Start();
    RunToEnd();
    ExpectPlain();
    EXPECT_EQ(runner_->speculation().drafted > 0, draft_length > 0);
    EXPECT_GT(runner_->times().verify_us, 0);
    EXPECT_GT(runner_->times().rpc_us, 0);
    EXPECT_GT(runner_->times().wait_us, 0);
    EXPECT_LE(runner_->times().wait_us, runner_->times().rpc_us);
    EXPECT_GT(runner_->times().first_token_us, 0);
    EXPECT_GE(runner_->times().total_us, runner_->times().first_token_us);
  }
}

TEST_F(TurnRunnerTest, OpensBothWorkersAtOnceWithTheTurnsTag) {
  Start();
  EXPECT_EQ(target()->streams, 1);
  EXPECT_EQ(drafter_->streams, 1);
  const OpenRequest& open = target()->last_open;
  EXPECT_EQ(open.tag.session_id, "session");
  EXPECT_EQ(open.tag.turn, 3);
  EXPECT_EQ(open.tenant, "tenant");
  EXPECT_EQ(drafter_->last_open.tenant, "tenant");
  EXPECT_GE(open.tag.epoch, 10u);
  EXPECT_NE(open.tag.epoch, drafter_->last_open.tag.epoch);
  EXPECT_EQ(open.tokens, spec_.prompt);
  EXPECT_EQ(open.generated_from, 3);
  EXPECT_EQ(open.tokens_max, 3 + 120 + 4);
  EXPECT_EQ(open.fingerprint, "fp");
  EXPECT_EQ(drafter_->last_open.fingerprint, "");
  EXPECT_EQ(runner_->state(), State::kOpening);
  EXPECT_FALSE(runner_->taken());
}

TEST_F(TurnRunnerTest, TellsWhatTheFirstTargetHadOfThePrompt) {
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

TEST_F(TurnRunnerTest, CountsWaitingForKvWithinItsOwnTime) {
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

// Any faults at any time: the text is a prefix of the plain one at each moment,
// and the plain one in the end.
TEST_F(TurnRunnerTest, RandomFaultsNeverChangeTheText) {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    seed_ = seed * 100;
    tokens_.clear();
    text_.clear();
    std::minstd_rand random(seed);
    directory_.targets.clear();
    directory_.drafters.clear();
    AddTarget("t1")->faults = {.close = 40, .duplicate = 200, .stale = 200};
    AddTarget("t2")->faults = {
        .close = 40, .duplicate = 100, .open_close = 100};
    AddDrafter("d1")->faults = {
        .close = static_cast<int>(random() % 30),
        .duplicate = 200,
        .stale = 200,
        .garbage = static_cast<int>(random() % 500),
        .delay_max = milliseconds(random() % 5 == 0 ? 3000 : 2)};
    spec_.options.draft_length.reset();
    if (seed % 2 == 0) {
      spec_.options.draft_length = 1 + static_cast<int>(random() % 16);
    }
    spec_.prompt[1] = 260 + static_cast<TokenId>(random() % 30);
    limits_.target_opens_max = 1000;
    Start();
    bool suspended = false;
    for (int i = 0; i < 200000 && (runner_->active() || suspended); ++i) {
      if (suspended) {
        suspended = false;
        runner_->Resume();
      } else if (random() % 400 == 0 && runner_->state() == State::kRunning) {
        runner_->Suspend(absl::OkStatus());
        ExpectReleased();
        suspended = true;
      }
      if (!Step()) break;
    }
    ExpectPrefixOfPlain();
    ExpectPlain();
    if (HasFailure()) return;
  }
}

TEST_F(TurnRunnerTest, GoesOnWithoutItsDrafter) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->opened, 1);
}

TEST_F(TurnRunnerTest, GoesOnWithoutADrafterThatIsSilent) {
  drafter_->silent = true;
  Start();
  const MonotonicTime began = clock_.Now();
  RunUntil([this] { return !tokens_.empty(); });
  EXPECT_GE(clock_.Now() - began, limits_.draft_round_deadline);
  EXPECT_EQ(drafter_->streams, 1);  // it may still run the prompt
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->proposes, 1);
}

TEST_F(TurnRunnerTest, DraftsOnlyInsideTheDraftersContext) {
  spec_.options.draft_sources = DraftSources::kModel;
  directory_.drafters["d1"].context_max = 40;
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_LT(runner_->speculation().drafted, 60);
}

TEST_F(TurnRunnerTest, GoesOnAtAnotherTargetWithTheCommittedTokens) {
  FakeLink* const second = AddTarget("t2");
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_GE(second->last_open.tokens.size(), spec_.prompt.size() + 20);
  EXPECT_EQ(second->last_open.generated_from, 3);
}

// The real router over two workers: a worker that drains keeps the turn until
// it ends the stream; then the turn goes on at the other, and no new one comes.
TEST_F(TurnRunnerTest, ATurnLeavesADrainingWorkerAtTheEndOfItsDrain) {
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
  EXPECT_EQ(runner_->last_target().name, "b");
  tokens_.clear();
  Start();
  EXPECT_EQ(links[0]->opened, 1);
  EXPECT_EQ(links[1]->opened, 2);
  runner_.reset();
}

TEST_F(TurnRunnerTest, TellsWhoHasTheTokensOfATurn) {
  last_drafter_ = {.name = "d0", .tokens = 2};
  Start();
  EXPECT_EQ(directory_.last_drafter.name, "d0");
  EXPECT_EQ(directory_.computed.at("t1"), spec_.prompt.size());
  RunToEnd();
  const size_t all = spec_.prompt.size() + tokens_.size();
  EXPECT_EQ(directory_.computed.at("t1"), all);
  EXPECT_EQ(directory_.computed.at("d1"), all);
  EXPECT_EQ(runner_->last_target().name, "t1");
  EXPECT_EQ(runner_->last_target().tokens, static_cast<Position>(all));
  EXPECT_EQ(runner_->last_drafter().name, "d1");
  // One that was lost has nothing any more.
  tokens_.clear();
  target()->faults.close = 1000;
  Start();
  RunUntil([this] { return runner_->last_target().name.empty(); });
  EXPECT_EQ(runner_->last_target().name, "");
}

TEST_F(TurnRunnerTest, NeverGoesToAnotherFingerprint) {
  AddTarget("t2");
  directory_.targets["t2"].fingerprint = "another";
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  directory_.targets["t1"].up = false;
  target()->faults.close = 1000;
  const MonotonicTime began = clock_.Now();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kSuspended);
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(runner_->status())->reason, kReasonNoWorker);
  EXPECT_GE(clock_.Now() - began, limits_.recovery_budget);
  ExpectReleased();
  // The turn can be resumed when the worker is back.
  directory_.targets["t1"].up = true;
  target()->faults.close = 0;
  runner_->Resume();
  RunToEnd();
  ExpectPlain();
}

TEST_F(TurnRunnerTest, WaitsForTheSameTargetToComeBack) {
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

TEST_F(TurnRunnerTest, ATurnThatKillsWorkersStopsSoon) {
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  target()->faults.close = 1000;
  const int opened = target()->opened;
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kSuspended);
  EXPECT_LE(target()->opened - opened, limits_.target_opens_max);
}

TEST_F(TurnRunnerTest, AFatalAnswerFailsTheTurn) {
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

TEST_F(TurnRunnerTest, FullTargetsAreToldAtOnceBeforeTheTurnIsTaken) {
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

TEST_F(TurnRunnerTest, FullTargetsAreWaitedForInTheirQueues) {
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

TEST_F(TurnRunnerTest, NoWaitIsLongerThanTheTurn) {
  timeout_ = seconds(3);
  Start();
  EXPECT_EQ(target()->last_open.queue_timeout, seconds(3));
  RunToEnd();
  ExpectPlain();
}

TEST_F(TurnRunnerTest, AReplacedTargetMayQueueForTheRestOfTheRecovery) {
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

TEST_F(TurnRunnerTest, ASlowReaderPausesTheTurn) {
  spec_.options.max_tokens = 1000;
  spec_.options.ignore_eos = true;
  reads_ = false;
  Start();
  RunUntil([] { return false; });
  const int64_t generated =
      static_cast<int64_t>(runner_->turn().generated().size());
  EXPECT_EQ(runner_->state(), State::kRunning);
  EXPECT_GE(generated, limits_.unread_tokens_max);
  EXPECT_LE(generated, limits_.unread_tokens_max + 5);
  reads_ = true;
  Read();
  RunToEnd();
  ExpectPlain();
}

TEST_F(TurnRunnerTest, CancelAtAnyPointKeepsTheCommittedTokens) {
  for (size_t at = 0; at < 40; ++at) {
    tokens_.clear();
    Start();
    RunUntil([&] { return tokens_.size() >= at; });
    for (size_t i = 0; i < at % 3; ++i) Step();
    if (!runner_->active()) continue;
    runner_->Cancel(FinishReason::kCancelled);
    EXPECT_EQ(runner_->state(), State::kEnded);
    EXPECT_EQ(runner_->finish_reason(), FinishReason::kCancelled);
    EXPECT_TRUE(runner_->taken());
    EXPECT_EQ(runner_->turn().session_tokens().size(),
              spec_.prompt.size() + tokens_.size());
    ExpectPrefixOfPlain();
    ExpectReleased();
    RunUntil([] { return false; });
    runner_->Cancel(FinishReason::kDeadline);  // too late
    EXPECT_EQ(runner_->finish_reason(), FinishReason::kCancelled);
  }
}

TEST_F(TurnRunnerTest, TheTimeoutEndsTheTurn) {
  for (const int ms : {0, 1, 3, 7, 20, 50}) {
    tokens_.clear();
    timeout_ = milliseconds(ms);
    spec_.options.max_tokens = 1000;
    spec_.options.ignore_eos = true;
    Start();
    const MonotonicTime began = clock_.Now();
    RunToEnd();
    EXPECT_EQ(runner_->finish_reason(), FinishReason::kDeadline);
    EXPECT_EQ(clock_.Now() - began, *timeout_);
    ExpectPrefixOfPlain();
    ExpectReleased();
  }
}

TEST_F(TurnRunnerTest, TheTimeoutRunsWhileSuspended) {
  timeout_ = seconds(5);
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  runner_->Suspend(absl::OkStatus());
  clock_.AdvanceTo(clock_.Now() + seconds(10));
  RunUntil([] { return false; });
  EXPECT_EQ(runner_->state(), State::kSuspended);
  runner_->Resume();
  RunToEnd();
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kDeadline);
}

TEST_F(TurnRunnerTest, ASuspendedTurnCanBeCancelled) {
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  runner_->Suspend(absl::OkStatus());
  ExpectReleased();
  runner_->Cancel(FinishReason::kCancelled);
  EXPECT_EQ(runner_->state(), State::kEnded);
  ExpectPrefixOfPlain();
}

TEST_F(TurnRunnerTest, ResumeCountsOnAndUsesNewEpochs) {
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  const SpeculationCounts before = runner_->speculation();
  const uint64_t epoch = target()->last_open.tag.epoch;
  runner_->Suspend(absl::OkStatus());
  runner_->Resume();
  EXPECT_GT(target()->last_open.tag.epoch, epoch);
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(runner_->speculation().rounds, before.rounds);
  EXPECT_GE(runner_->speculation().drafted, before.drafted);
}

TEST_F(TurnRunnerTest, ADestroyedRunnerLeavesNothing) {
  timeout_ = seconds(1);
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  runner_.reset();
  ExpectReleased();
  RunUntil([] { return false; });
}

TEST_F(TurnRunnerTest, ATargetThatBreaksTheProtocolFailsTheTurn) {
  // Opened with another fingerprint than the directory tells.
  auto link = std::make_shared<FakeLink>(5, "other");
  directory_.targets["t1"] = {.link = link};
  Start();
  RunToEnd();
  EXPECT_EQ(runner_->state(), State::kFailed);
  EXPECT_FALSE(runner_->taken());
  EXPECT_EQ(runner_->status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace tandem
