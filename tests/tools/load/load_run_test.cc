#include "tools/load/load_run.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/load/fake_target.h"

namespace tandem::load {
namespace {

using std::chrono::milliseconds;
using ::testing::Each;

constexpr int kVocab = 100;

LoadFigures RunLoad(const LoadOptions& options, FakeTarget* target) {
  LoadRun run(options, TurnSource(options, kVocab), target, nullptr);
  return run.Run();
}

TurnOutcome Cancelled() { return {.status = {}, .finish_reason = "cancelled"}; }

TEST(LoadRunTest, AClosedLoopRunsTheTurnsAskedFor) {
  LoadOptions options;
  options.sessions = 3;
  options.requests = 10;
  FakeTarget target;
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(target.turns, 10);
  EXPECT_EQ(figures.turns_ended, 10);
  EXPECT_EQ(figures.generated_tokens, 20);
  EXPECT_EQ(figures.prompt_tokens, 640);
  EXPECT_EQ(target.sessions_open, 0);
}

// As replies do that are complete by their format.
TEST(LoadRunTest, TurnsThatEndBeforeTheirLengthMakePlaceForTheNext) {
  LoadOptions options;
  options.output_tokens = {.low = 500, .high = 500};
  options.requests = 6;
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver* observer) {
    observer->OnTokens(2);
    observer->OnTokens(5);
    TurnOutcome outcome = {.status = {}, .finish_reason = "grammar_end"};
    outcome.usage.set_generated_tokens(7);
    outcome.speculation.set_rounds(2);
    observer->OnEnd(outcome);
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(target.turns, 6);
  EXPECT_EQ(figures.turns_ended, 6);
  EXPECT_EQ(figures.turns_cut, 0);
  EXPECT_EQ(figures.generated_tokens, 42);
  EXPECT_EQ(figures.usage.generated_tokens(), 42);
  EXPECT_EQ(figures.event_gap_us.count(), 6);
  EXPECT_EQ(figures.finish_reasons.at("grammar_end"), 6);
}

TEST(LoadRunTest, SessionsHaveTheirTurnsAndThenMakePlace) {
  LoadOptions options;
  options.sessions = 2;
  options.turns = 3;
  options.requests = 12;
  FakeTarget target;
  RunLoad(options, &target);
  EXPECT_EQ(target.sessions, 4);
  EXPECT_THAT(target.turns_of_sessions, Each(3));
}

TEST(LoadRunTest, AnOpenLoopBeginsSessionsWhateverBecomesOfOthers) {
  LoadOptions options;
  options.rate = 2000;
  options.requests = 50;
  options.turns = 2;
  options.sessions_max = 25;
  FakeTarget target;
  std::vector<TurnObserver*> waiting;
  target.on_start = [&](const LoadTurn&, TurnObserver* observer) {
    waiting.push_back(observer);
    // The first arrivals are answered once all places are taken.
    if (waiting.size() < 25) return;
    for (TurnObserver* other : waiting) {
      other->OnEnd({.status = {}, .finish_reason = "length"});
    }
    waiting.clear();
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(figures.turns_ended, 50);
  EXPECT_EQ(target.sessions_open, 0);
}

TEST(LoadRunTest, ArrivalsWithoutAPlaceAreSkippedAndCounted) {
  LoadOptions options;
  options.rate = 1000;
  options.sessions_max = 1;
  options.duration = milliseconds(300);
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver*) {};
  target.on_cancel = [](TurnObserver* observer) {
    observer->OnEnd(Cancelled());
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(target.turns, 1);
  EXPECT_EQ(figures.turns_cut, 1);
  EXPECT_GT(figures.arrivals_skipped, 10);
}

TEST(LoadRunTest, TheEndOfTheTimeCancelsWhatRuns) {
  LoadOptions options;
  options.sessions = 4;
  options.duration = milliseconds(50);
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver* observer) {
    observer->OnTokens(1);
  };
  target.on_cancel = [](TurnObserver* observer) {
    observer->OnTokens(9);  // after the end: not counted
    observer->OnEnd(Cancelled());
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(figures.turns_cut, 4);
  EXPECT_EQ(figures.turns_ended, 0);
  EXPECT_EQ(figures.generated_tokens, 4);
  EXPECT_EQ(figures.finish_reasons.at("cancelled"), 4);
}

TEST(LoadRunTest, TurnsThatDoNotHearACancelAreAborted) {
  LoadOptions options;
  options.duration = milliseconds(10);
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver*) {};
  target.on_abort = [](TurnObserver* observer) {
    observer->OnEnd({.status = absl::CancelledError("")});
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(figures.turns_cut, 1);
  EXPECT_TRUE(figures.errors.empty());
}

TEST(LoadRunTest, StopEndsARunFromAnotherThread) {
  LoadOptions options;
  options.requests = 1000;
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver*) {};
  target.on_cancel = [](TurnObserver* observer) {
    observer->OnEnd(Cancelled());
  };
  LoadRun run(options, TurnSource(options, kVocab), &target, nullptr);
  std::thread stopper([&run] { run.Stop(); });
  const LoadFigures figures = run.Run();
  stopper.join();
  EXPECT_LE(figures.turns_cut, 1);
  EXPECT_EQ(figures.turns_ended, 0);
}

TEST(LoadRunTest, AfterAFailureANewSessionTakesThePlace) {
  LoadOptions options;
  options.turns = 5;
  options.requests = 3;
  FakeTarget target;
  target.on_start = [&](const LoadTurn&, TurnObserver* observer) {
    if (target.turns == 1) {
      observer->OnEnd({.status = absl::UnavailableError("gone")});
    } else {
      observer->OnEnd({.status = {}, .finish_reason = "length"});
    }
  };
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(target.sessions, 2);
  EXPECT_EQ(figures.turns_ended, 2);
  EXPECT_EQ(figures.errors.at("UNAVAILABLE"), 1);
}

TEST(LoadRunTest, TheWarmUpIsNotCounted) {
  LoadOptions options;
  options.requests = 3;
  options.warmup = milliseconds(100);
  options.think = milliseconds(200);
  FakeTarget target;
  const LoadFigures figures = RunLoad(options, &target);
  EXPECT_EQ(target.turns, 3);
  EXPECT_EQ(figures.turns_ended, 2);
  EXPECT_EQ(figures.generated_tokens, 4);
  EXPECT_EQ(figures.first_token_us.count(), 2);
  EXPECT_EQ(figures.turn_us.count(), 2);
  EXPECT_GE(figures.seconds, 0.3);
  EXPECT_LT(figures.seconds, 30);
}

TEST(LoadRunTest, ItReportsItsProgress) {
  LoadOptions options;
  options.duration = kProgressInterval + milliseconds(200);
  FakeTarget target;
  target.on_start = [](const LoadTurn&, TurnObserver* observer) {
    observer->OnTokens(1);
  };
  target.on_cancel = [](TurnObserver* observer) {
    observer->OnEnd(Cancelled());
  };
  std::vector<LoadProgress> told;
  LoadRun run(
      options, TurnSource(options, kVocab), &target,
      [&told](const LoadProgress& progress) { told.push_back(progress); });
  run.Run();
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.front().turns_running, 1);
  EXPECT_EQ(told.front().figures.generated_tokens, 1);
  EXPECT_GE(told.front().seconds, 1);
}

}  // namespace
}  // namespace tandem::load
