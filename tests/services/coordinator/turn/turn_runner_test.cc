#include "services/coordinator/turn/turn_runner.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using State = TurnState;

using TurnRunnerTest = TurnRunnerFixture;

TEST_F(TurnRunnerTest, GivesThePlainTextAndFreesTheWorkers) {
  for (const int draft_length : {0, 1, 4, 16}) {
    tokens_.clear();
    spec_.options.draft_length = draft_length;
    Start();
    RunToEnd();
    ExpectPlain();
    EXPECT_EQ(runner_->turn().speculation().drafted > 0, draft_length > 0);
    EXPECT_GT(runner_->times().verify_us, 0);
    EXPECT_GT(runner_->times().rpc_us, 0);
    EXPECT_GT(runner_->times().wait_us, 0);
    EXPECT_LE(runner_->times().wait_us, runner_->times().rpc_us);
    EXPECT_GT(runner_->times().first_token_us, 0);
    EXPECT_GE(runner_->times().total_us, runner_->times().first_token_us);
  }
}

TEST_F(TurnRunnerTest, OpensBothWorkersAtOnce) {
  Start();
  EXPECT_EQ(target()->streams, 1);
  EXPECT_EQ(drafter_->streams, 1);
  const OpenRequest& open = target()->last_open;
  EXPECT_EQ(open.session_id, "session");
  EXPECT_EQ(open.turn, 3);
  EXPECT_EQ(open.tenant, "tenant");
  EXPECT_EQ(drafter_->last_open.tenant, "tenant");
  EXPECT_EQ(open.tokens, spec_.prompt);
  EXPECT_EQ(open.generated_from, 3);
  EXPECT_EQ(open.tokens_max, 3 + 120 + 4);
  EXPECT_EQ(open.fingerprint, "fp");
  EXPECT_EQ(drafter_->last_open.fingerprint, "");
  EXPECT_EQ(runner_->state(), State::kRunning);
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
    AddTarget("t1")->faults = {.close = 40, .unasked = 20};
    AddTarget("t2")->faults = {.close = 40, .unasked = 10, .open_close = 100};
    AddDrafter("d1")->faults = {
        .close = static_cast<int>(random() % 30),
        .unasked = static_cast<int>(random() % 30),
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
      if (!Step() && !suspended) break;
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
  // Nothing is known of its costs: 10 ms for each token of the prompt.
  EXPECT_GE(clock_.Now() - began, limits_.draft_patience_max);
  EXPECT_LT(clock_.Now() - began,
            limits_.draft_patience_max + milliseconds(40));
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
  EXPECT_LT(runner_->turn().speculation().drafted, 60);
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
  EXPECT_EQ(runner_->target().last_worker().name, "t1");
  EXPECT_EQ(runner_->target().last_worker().tokens, static_cast<Position>(all));
  EXPECT_EQ(runner_->drafter().last_worker().name, "d1");
  // One that was lost has nothing any more.
  tokens_.clear();
  target()->faults.close = 1000;
  Start();
  RunUntil([this] { return runner_->target().last_worker().name.empty(); });
  EXPECT_EQ(runner_->target().last_worker().name, "");
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

TEST_F(TurnRunnerTest, ResumeCountsOn) {
  Start();
  RunUntil([this] { return tokens_.size() >= 20; });
  const SpeculationCounts before = runner_->turn().speculation();
  runner_->Suspend(absl::OkStatus());
  runner_->Resume();
  RunToEnd();
  ExpectPlain();
  EXPECT_GT(runner_->turn().speculation().rounds, before.rounds);
  EXPECT_GE(runner_->turn().speculation().drafted, before.drafted);
}

TEST_F(TurnRunnerTest, ADestroyedRunnerLeavesNothing) {
  timeout_ = seconds(1);
  Start();
  RunUntil([this] { return tokens_.size() >= 5; });
  runner_.reset();
  ExpectReleased();
  RunUntil([] { return false; });
}

// A turn that another process drove up to `tokens_`.
class RestoredRunnerTest : public TurnRunnerTest {
 protected:
  RestoredRunnerTest() { spec_.options.ignore_eos = true; }
  // As the store has it, with the first `tokens` of a plain run.
  void Restore(size_t tokens, std::optional<FinishReason> end = std::nullopt,
               MonotonicDuration elapsed = {}) {
    const PlainResult plain = PlainRun(spec_);
    Make();
    runner_->Restore({.model = {.id = "fake",
                                .fingerprint = "fp",
                                .vocabulary_fingerprint = "vocabulary"},
                      .generated = {plain.tokens.begin(),
                                    plain.tokens.begin() +
                                        static_cast<std::ptrdiff_t>(tokens)},
                      .elapsed = elapsed,
                      .end = end});
  }
};

TEST_F(RestoredRunnerTest, GoesOnWithTheSameText) {
  for (const size_t tokens : {0, 1, 50, 119}) {
    tokens_.clear();
    text_.clear();
    Restore(tokens);
    EXPECT_EQ(runner_->state(), TurnState::kSuspended);
    EXPECT_TRUE(runner_->taken());
    EXPECT_TRUE(runner_->is_restored());
    EXPECT_EQ(target()->streams, 0);
    Read();
    EXPECT_EQ(tokens_.size(), tokens);
    runner_->Resume();
    EXPECT_TRUE(runner_->is_restored());
    RunToEnd();
    ExpectPlain();
    EXPECT_EQ(target()->last_open.fingerprint, "fp");
  }
}

TEST_F(RestoredRunnerTest, EndsAsItEndedBefore) {
  Restore(120);  // all of it
  EXPECT_EQ(runner_->state(), TurnState::kEnded);
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kLength);
  Restore(50, FinishReason::kCancelled);
  EXPECT_EQ(runner_->state(), TurnState::kEnded);
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kCancelled);
  EXPECT_EQ(runner_->usage().generated_tokens, 50);
  // Its tokens bring an end that the store does not contradict.
  Restore(120, FinishReason::kLength);
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kLength);
  Read();
  ExpectPlain();
  EXPECT_EQ(target()->opened, 0);
}

TEST_F(RestoredRunnerTest, ItsTimeCountsOn) {
  timeout_ = std::chrono::seconds(10);
  target()->faults.delay_max = std::chrono::seconds(1);
  Restore(10, std::nullopt, std::chrono::milliseconds(9500));
  EXPECT_EQ(runner_->times().total_us, 9500000);
  const MonotonicTime began = clock_.Now();
  runner_->Resume();
  RunToEnd();
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kDeadline);
  EXPECT_EQ(clock_.Now() - began, std::chrono::milliseconds(500));
  EXPECT_EQ(runner_->times().total_us, 10000000);
  ExpectPrefixOfPlain();
}

TEST_F(RestoredRunnerTest, TimeWhileItRunsIsKnown) {
  Restore(10, std::nullopt, std::chrono::seconds(2));
  runner_->Resume();
  clock_.AdvanceTo(clock_.Now() + std::chrono::seconds(1));
  EXPECT_EQ(runner_->times().total_us, 3000000);
}

TEST_F(RestoredRunnerTest, EndsNotBeforeWhatItsReaderHas) {
  reads_ = false;
  Restore(32);
  runner_->SetTokensRead(60);
  runner_->Resume();
  runner_->Cancel(FinishReason::kCancelled);
  EXPECT_TRUE(runner_->active());
  runner_->Cancel(FinishReason::kDeadline);  // the first one counts
  RunToEnd();
  EXPECT_EQ(runner_->state(), TurnState::kEnded);
  EXPECT_EQ(runner_->finish_reason(), FinishReason::kCancelled);
  EXPECT_GE(runner_->usage().generated_tokens, 60);
  EXPECT_LT(runner_->usage().generated_tokens, 60 + kDraftLengthLimit + 1);
  ExpectReleased();
  // One that waits ends at once.
  Restore(32);
  runner_->SetTokensRead(60);
  runner_->Cancel(FinishReason::kCancelled);
  EXPECT_EQ(runner_->state(), TurnState::kEnded);
  EXPECT_EQ(runner_->usage().generated_tokens, 32);
}

}  // namespace
}  // namespace tandem
