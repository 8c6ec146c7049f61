// What a TurnRunner tells its observer, and what it takes along of a trace.

#include "services/coordinator/turn/turn_observer.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

class RecordingObserver : public TurnObserver {
 public:
  void OnFirstTokens(int64_t count, MonotonicDuration since_start) override {
    ++firsts;
    tokens += count;
    first_token = since_start;
  }
  void OnTokens(int64_t count,
                std::optional<MonotonicDuration> since_last) override {
    tokens += count;
    if (since_last.has_value()) {
      between += *since_last;
    } else {
      ++without_time;
    }
  }
  void OnRound(const VerifiedDraft& draft) override {
    ++rounds;
    drafted += draft.drafted;
    accepted += draft.accepted;
  }
  void OnTurnOver(const TurnSummary& summary) override {
    summaries.push_back(summary);
  }
  void OnScored(int64_t /*tokens*/) override {}
  void OnStreamFailed(const std::string&) override { ++failed; }

  int firsts = 0;
  int without_time = 0;
  int rounds = 0;
  int drafted = 0;
  int accepted = 0;
  int failed = 0;
  int64_t tokens = 0;
  MonotonicDuration first_token{};
  MonotonicDuration between{};
  std::vector<TurnSummary> summaries;
};

class TurnObserverTest : public TurnRunnerFixture {
 protected:
  TurnObserverTest() {
    observer_ = &observed_;
    spec_.options.ignore_eos = true;
  }

  RecordingObserver observed_;
};

TEST_F(TurnObserverTest, HearsOfEachTokenAndOfTheEndOnce) {
  Start();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(observed_.firsts, 1);
  EXPECT_EQ(observed_.tokens, static_cast<int64_t>(tokens_.size()));
  EXPECT_EQ(observed_.without_time, 0);
  ASSERT_EQ(observed_.summaries.size(), 1u);
  runner_.reset();
  ASSERT_EQ(observed_.summaries.size(), 1u);
  const TurnSummary& summary = observed_.summaries[0];
  EXPECT_EQ(summary.finish_reason, FinishReason::kLength);
  EXPECT_EQ(summary.usage.generated_tokens,
            static_cast<int64_t>(tokens_.size()));
  EXPECT_GT(summary.speculation.rounds, 0);
  EXPECT_EQ(observed_.rounds, summary.speculation.rounds);
  EXPECT_GT(observed_.drafted, 0);
  EXPECT_EQ(observed_.drafted, summary.speculation.drafted);
  EXPECT_EQ(observed_.accepted, summary.speculation.accepted);
  using std::chrono::microseconds;
  EXPECT_EQ(microseconds(summary.times.first_token_us),
            std::chrono::duration_cast<microseconds>(observed_.first_token));
  // First token, and the times between tokens: the whole turn but for its
  // clock's rounding.
  EXPECT_LE(observed_.first_token + observed_.between,
            microseconds(summary.times.total_us + 1));
}

TEST_F(TurnObserverTest, APauseIsNoTimeBetweenTokens) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  runner_->Suspend(absl::OkStatus());
  EXPECT_TRUE(observed_.summaries.empty());
  runner_->Resume();
  RunToEnd();
  ExpectPlain();
  EXPECT_EQ(observed_.firsts, 1);
  EXPECT_EQ(observed_.without_time, 1);
  EXPECT_EQ(observed_.tokens, static_cast<int64_t>(tokens_.size()));
  EXPECT_EQ(observed_.summaries.size(), 1u);
}

TEST_F(TurnObserverTest, ATurnThatIsForgottenIsOverToo) {
  Start();
  RunUntil([this] { return tokens_.size() >= 10; });
  runner_->Suspend(absl::OkStatus());
  runner_.reset();
  ASSERT_EQ(observed_.summaries.size(), 1u);
  EXPECT_EQ(observed_.summaries[0].finish_reason, FinishReason::kError);
  EXPECT_GE(observed_.summaries[0].usage.generated_tokens, 10);
}

TEST_F(TurnObserverTest, WorkersAreOpenedInTheTurnsTrace) {
  trace_ = ParseTraceContext(
      "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=b");
  Start();
  ASSERT_TRUE(target()->last_open.trace.has_value());
  EXPECT_EQ(target()->last_open.trace->trace_id,
            "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(drafter_->last_open.trace->state, "a=b");
  RunToEnd();
  ExpectPlain();
}

}  // namespace
}  // namespace tandem
