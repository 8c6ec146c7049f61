#include "services/coordinator/turn_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = TurnRunner::State;

// A runner over fake workers, and a reader that takes what there is.
class TurnRunnerTest : public ::testing::Test, public TurnListener {
 protected:
  TurnRunnerTest() : loop_(&clock_) {
    AddTarget("t1");
    drafter_ = AddDrafter("d1");
    spec_.prompt = {1, 300 - 30, 280};
    spec_.options.max_tokens = 120;
    spec_.options.seed = 7;
    spec_.options.draft_length = 4;
    spec_.context_max = 100000;
  }

  FakeLink* AddTarget(const std::string& name) {
    auto link = std::make_shared<FakeLink>(seed_++, "fp");
    directory_.targets[name] = {.link = link};
    return link.get();
  }
  FakeLink* AddDrafter(const std::string& name) {
    auto link = std::make_shared<FakeLink>(seed_++, "draft-fp");
    directory_.drafters[name] = {.link = link};
    return link.get();
  }
  FakeLink* target() { return directory_.targets["t1"].link.get(); }

  void Make() {
    runner_ =
        std::make_unique<TurnRunner>(&loop_, &directory_, limits_,
                                     TurnSetup{.session_id = "session",
                                               .number = 3,
                                               .first_epoch = 10,
                                               .tokenizer = FakeTokenizer(),
                                               .spec = spec_,
                                               .timeout = timeout_,
                                               .controller = learned_});
    runner_->SetListener(this);
  }
  void Start() {
    Make();
    runner_->Start(*directory_.PickTarget({.model_id = "fake",
                                           .fingerprint = "fp",
                                           .vocabulary_fingerprint = "",
                                           .avoid = {}}));
  }

  void OnTurnChanged() override {
    if (reads_) Read();
  }

  void Read() {
    const int64_t generated =
        static_cast<int64_t>(runner_->turn().generated().size());
    while (static_cast<int64_t>(tokens_.size()) < generated) {
      const TurnRunner::Group group =
          runner_->NextGroup(static_cast<int64_t>(tokens_.size()), 8);
      ASSERT_GT(group.end, static_cast<int64_t>(tokens_.size()));
      for (int64_t i = static_cast<int64_t>(tokens_.size()); i < group.end;
           ++i) {
        tokens_.push_back(runner_->turn().generated()[i].id);
      }
      text_ = runner_->turn().text().substr(0, group.text_end);
    }
    if (runner_->state() == State::kEnded) text_ = runner_->turn().text();
    runner_->SetTokensRead(static_cast<int64_t>(tokens_.size()));
  }

  // One step of the simulation; false when nothing will ever happen again.
  bool Step() {
    if (loop_.RunReady()) return true;
    const std::optional<MonotonicTime> next = loop_.NextTimer();
    if (!next.has_value()) return false;
    clock_.AdvanceTo(*next);
    return true;
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 200000 && !done(); ++i) {
      if (!Step()) break;
    }
  }
  void RunToEnd() {
    RunUntil([this] { return !runner_->active(); });
  }

  void ExpectPrefixOfPlain() {
    const PlainResult plain = PlainRun(spec_);
    ASSERT_LE(tokens_.size(), plain.tokens.size());
    EXPECT_TRUE(
        std::equal(tokens_.begin(), tokens_.end(), plain.tokens.begin()));
  }
  void ExpectPlain() {
    const PlainResult plain = PlainRun(spec_);
    ASSERT_EQ(runner_->state(), State::kEnded) << runner_->status();
    EXPECT_EQ(tokens_, plain.tokens);
    EXPECT_EQ(text_, plain.text);
    EXPECT_EQ(runner_->finish_reason(), plain.reason);
    ExpectReleased();
  }
  void ExpectReleased() {
    for (const auto& [name, entry] : directory_.targets) {
      EXPECT_EQ(entry.link->streams, 0) << name;
    }
    for (const auto& [name, entry] : directory_.drafters) {
      EXPECT_EQ(entry.link->streams, 0) << name;
    }
  }

  uint32_t seed_ = 1;
  FakeClock clock_;
  EventLoop loop_;
  FakeDirectory directory_;
  FakeLink* drafter_ = nullptr;
  TurnLimits limits_;
  TurnSpec spec_;
  std::optional<MonotonicDuration> timeout_;
  DraftController learned_;
  std::unique_ptr<TurnRunner> runner_;
  bool reads_ = true;
  std::vector<TokenId> tokens_;
  std::string text_;
};

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

TEST_F(TurnRunnerTest, DropsADrafterThatIsSlow) {
  drafter_->silent = true;
  Start();
  const MonotonicTime began = clock_.Now();
  RunUntil([this] { return !tokens_.empty(); });
  EXPECT_GE(clock_.Now() - began, limits_.draft_round_deadline);
  EXPECT_EQ(drafter_->streams, 0);
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->proposes, 1);
}

// The drafter was fast and is not any more: rounds go on without it, its
// answers are dropped when they come, and it is not asked twice at a time.
TEST_F(TurnRunnerTest, ASlowDraftIsNotWaitedFor) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->propose_delay = milliseconds(500);
  const int proposes = drafter_->proposes;
  const MonotonicTime began = clock_.Now();
  RunToEnd();
  ExpectPlain();
  EXPECT_GE(runner_->speculation().late, 1);
  // One wait, then about 110 rounds of 2 ms each; a drafter that is waited for
  // would take 25 times half a second.
  EXPECT_LT(clock_.Now() - began, milliseconds(700));
  EXPECT_LE(drafter_->proposes - proposes, 3);
  EXPECT_EQ(drafter_->opened, 1);
}

TEST_F(TurnRunnerTest, ALateDrafterIsAskedAgainWhenItHasAnswered) {
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->propose_delay = milliseconds(100);
  RunUntil([this] { return runner_->speculation().late > 0; });
  drafter_->propose_delay = {};
  const int proposes = drafter_->proposes;
  const int64_t drafted = runner_->speculation().drafted;
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(drafter_->proposes, proposes + 20);
  EXPECT_GT(runner_->speculation().drafted, drafted + 60);
}

TEST_F(TurnRunnerTest, ADrafterThatFallsSilentIsLostInTheEnd) {
  spec_.options.max_tokens = 3000;
  spec_.options.ignore_eos = true;
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  drafter_->silent = true;
  RunUntil([this] { return runner_->speculation().late > 0; });
  const MonotonicTime late = clock_.Now();
  const size_t tokens = tokens_.size();
  RunUntil([this] { return drafter_->streams == 0; });
  EXPECT_GE(clock_.Now() - late, limits_.draft_round_deadline / 2);
  EXPECT_LE(clock_.Now() - late, limits_.draft_round_deadline);
  EXPECT_GT(tokens_.size(), tokens + 500);  // it went on meanwhile
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(runner_->speculation().late, 1);
}

TEST_F(TurnRunnerTest, ARepeatingTextNeedsNoDrafter) {
  directory_.drafters.clear();
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  for (const bool automatic : {false, true}) {
    tokens_.clear();
    spec_.options.draft_length.reset();
    if (!automatic) spec_.options.draft_length = 4;
    Start();
    RunToEnd();
    ExpectPlain();
    const SpeculationCounts counts = runner_->speculation();
    EXPECT_EQ(counts.drafted, counts.lookup.drafted);
    EXPECT_GT(counts.lookup.accepted, 80);
    EXPECT_LT(counts.rounds, 40);
  }
}

TEST_F(TurnRunnerTest, LookupGoesOnWhereTheDrafterIsLost) {
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  EXPECT_EQ(runner_->speculation().lookup.drafted, 0);
  drafter_->faults.close = 1000;
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(runner_->speculation().lookup.accepted, 60);
}

TEST_F(TurnRunnerTest, SourcesThatAreNotAskedForAreNotUsed) {
  spec_.prompt = {kFakeRepeat, 270, 271, 272, 273, 274, 275};
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kLookup;
  Start();
  EXPECT_EQ(drafter_->opened, 0);
  RunToEnd();
  ExpectPlain();
  spec_.options.draft_sources = DraftSources::kModel;
  tokens_.clear();
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(runner_->speculation().lookup.drafted, 0);
}

std::shared_ptr<const WorkerCosts> Costs(double first_us, double row_us) {
  const std::vector<StepCost> costs = {
      {.rows = 1, .us = first_us}, {.rows = 17, .us = first_us + 16 * row_us}};
  return std::make_shared<const WorkerCosts>(
      WorkerCosts{.passes = CostCurve(costs), .sequences = 1});
}

// What workers report decides.
TEST_F(TurnRunnerTest, AutomaticLengthsGoByReportedCosts) {
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(1000000, 0);
  Start();
  RunToEnd();
  ExpectPlain();
  const int64_t dear = runner_->speculation().drafted;
  tokens_.clear();
  drafter_->reported = Costs(1, 0);
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_LT(dear, 40);
  EXPECT_GT(runner_->speculation().drafted, 100);
}

// Running the prompt in a drafter that does not pay is a probe too.
TEST_F(TurnRunnerTest, ADrafterThatDoesNotPayIsOpenedOnCredit) {
  spec_.options.draft_length.reset();
  spec_.options.draft_sources = DraftSources::kModel;
  spec_.options.max_tokens = 400;
  spec_.options.ignore_eos = true;
  target()->reported = Costs(1000, 1);
  drafter_->reported = Costs(1000000, 0);
  Start();
  EXPECT_EQ(drafter_->opened, 1);
  RunToEnd();
  DraftController learned = runner_->TakeController();
  EXPECT_EQ(runner_->controller().opening_credit_us(), 0);
  ASSERT_EQ(learned.steady_length(), 0);
  learned.AddOpeningCredit(-learned.opening_credit_us());

  // Three tokens of a prompt cost 3/64 of a pass here.
  for (const double credit_us : {0.0, 60000.0}) {
    learned.AddOpeningCredit(credit_us);
    learned_ = learned;
    tokens_.clear();
    drafter_->opened = 0;
    Start();
    RunToEnd();
    ExpectPlain();
    EXPECT_EQ(drafter_->opened, credit_us > 0 ? 1 : 0);
  }

  // One that has become cheap is opened in the middle and used.
  learned.AddOpeningCredit(-learned.opening_credit_us());
  learned_ = learned;
  tokens_.clear();
  drafter_->opened = 0;
  drafter_->reported = Costs(10, 0);
  spec_.options.max_tokens = 4000;
  Start();
  EXPECT_EQ(drafter_->opened, 0);
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(drafter_->opened, 1);
  EXPECT_GT(runner_->speculation().accepted, 100);
}

TEST_F(TurnRunnerTest, WhatWasLearnedGoesToTheNextTurn) {
  spec_.options.draft_length.reset();
  Start();
  RunToEnd();
  const DraftController learned = runner_->controller();
  EXPECT_GT(learned.total_us(), 0);
  runner_ = std::make_unique<TurnRunner>(
      &loop_, &directory_, limits_,
      TurnSetup{.session_id = "session",
                .number = 4,
                .first_epoch = runner_->next_epoch(),
                .tokenizer = FakeTokenizer(),
                .spec = spec_,
                .timeout = {},
                .controller = learned});
  EXPECT_EQ(runner_->controller().total_us(), learned.total_us());
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
