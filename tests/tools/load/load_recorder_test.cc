#include "tools/load/load_recorder.h"

#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

const Clock::time_point kBegan = Clock::time_point(seconds(1000));

TurnTimes BeganAt(Clock::time_point began) {
  return {.began = began,
          .last_event = began,
          .has_tokens = false,
          .prompt_tokens = 12};
}

TurnOutcome Ended() {
  TurnOutcome outcome;
  outcome.finish_reason = "length";
  return outcome;
}

TEST(LoadRecorderTest, AnEventsGapIsSharedByItsTokens) {
  LoadRecorder recorder(kBegan);
  TurnTimes times = BeganAt(kBegan);
  recorder.OnTokens(kBegan + microseconds(100), 1, &times);
  recorder.OnTokens(kBegan + microseconds(160), 4, &times);
  recorder.OnEnd(kBegan + microseconds(190), Ended(), times, false);
  const LoadFigures figures = recorder.FiguresAt(kBegan + seconds(2));
  EXPECT_EQ(figures.seconds, 2);
  EXPECT_EQ(figures.prompt_tokens, 12);
  EXPECT_EQ(figures.generated_tokens, 5);
  EXPECT_EQ(figures.events, 2);
  EXPECT_EQ(figures.first_token_us.max(), 100);
  EXPECT_EQ(figures.event_gap_us.max(), 60);
  EXPECT_EQ(figures.event_gap_us.count(), 1);
  EXPECT_EQ(figures.token_gap_us.max(), 15);
  EXPECT_EQ(figures.token_gap_us.count(), 4);
  EXPECT_EQ(figures.turn_us.max(), 190);
  EXPECT_EQ(figures.turns_ended, 1);
}

TEST(LoadRecorderTest, TheWarmUpIsNotCounted) {
  LoadRecorder recorder(kBegan + seconds(1));
  TurnTimes times = BeganAt(kBegan);
  recorder.OnTokens(kBegan + microseconds(100), 1, &times);
  recorder.OnSkipped(kBegan);
  recorder.OnEnd(kBegan, Ended(), BeganAt(kBegan), false);
  // A gap that ends in the counted time counts.
  recorder.OnTokens(kBegan + seconds(1), 1, &times);
  const LoadFigures figures = recorder.FiguresAt(kBegan + seconds(2));
  EXPECT_EQ(figures.seconds, 1);
  EXPECT_EQ(figures.generated_tokens, 1);
  EXPECT_EQ(figures.first_token_us.count(), 0);
  EXPECT_EQ(figures.event_gap_us.max(), 999900);
  EXPECT_EQ(figures.turns_ended, 0);
  EXPECT_EQ(figures.arrivals_skipped, 0);
  EXPECT_EQ(recorder.FiguresAt(kBegan).seconds, 0);
}

TEST(LoadRecorderTest, ACutTurnIsNoErrorAndHasNoLength) {
  LoadRecorder recorder(kBegan);
  TurnOutcome cancelled;
  cancelled.status = absl::CancelledError("");
  recorder.OnEnd(kBegan, cancelled, BeganAt(kBegan), true);
  recorder.OnEnd(kBegan, Ended(), BeganAt(kBegan), true);
  recorder.OnEnd(kBegan, cancelled, BeganAt(kBegan), false);
  const LoadFigures figures = recorder.FiguresAt(kBegan + seconds(1));
  EXPECT_EQ(figures.turns_cut, 2);
  EXPECT_EQ(figures.turns_failed, 1);
  EXPECT_EQ(figures.turns_ended, 0);
  EXPECT_EQ(figures.turn_us.count(), 0);
  EXPECT_EQ(figures.told_turns, 1);
}

}  // namespace
}  // namespace tandem::load
