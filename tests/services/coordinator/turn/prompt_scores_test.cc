#include "services/coordinator/turn/prompt_scores.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

constexpr int64_t kPartMax = 100;

class PromptScoresTest : public TurnRunnerFixture {
 protected:
  // A turn whose first own token is `first`, of a prompt of `tokens`.
  void StartTurn(Position tokens, Position first, int alternatives = 2) {
    spec_.prompt.clear();
    for (Position i = 0; i < tokens; ++i) spec_.prompt.push_back(3 + i % 11);
    prompt_logprobs_ = {.alternatives = alternatives, .first = first};
    Start();
    RunUntil([this] { return runner_->taken(); });
  }
  void StartScores(int64_t received = 0) {
    handed_.clear();
    changes_ = 0;
    received_ = received;
    scores_.emplace(PromptScores::Setup{.loop = &loop_,
                                        .directory = &directory_,
                                        .limits = limits_,
                                        .on_change = [this] { ++changes_; }},
                    runner_.get(), received);
  }
  // Takes what there is.
  void Take() {
    while (auto part = scores_->Next(kPartMax)) {
      EXPECT_LE(part->tokens.size(), static_cast<size_t>(kPartMax));
      EXPECT_EQ(part->first_token,
                received_ + static_cast<int64_t>(handed_.size()));
      for (SampledToken& token : part->tokens) {
        handed_.push_back(std::move(token));
      }
    }
  }
  void TakeAll() {
    RunUntil([this] {
      Take();
      return scores_->is_over() || !scores_->status().ok();
    });
  }
  std::vector<SampledToken> Expected() const {
    const Position first =
        prompt_logprobs_->first + static_cast<Position>(received_);
    std::vector<SampledToken> expected;
    if (first == 0) expected.push_back({.id = spec_.prompt[0]});
    for (const ScoredToken& score :
         FakeScores(spec_.prompt, std::max(first, Position{1}),
                    spec_.prompt.size(), prompt_logprobs_->alternatives)) {
      expected.push_back(score.token);
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      expected[i].id = spec_.prompt[static_cast<size_t>(first) + i];
    }
    return expected;
  }
  void ExpectAll() {
    ASSERT_TRUE(scores_->status().ok()) << scores_->status();
    EXPECT_TRUE(scores_->is_over());
    EXPECT_EQ(handed_, Expected());
  }

  std::optional<PromptScores> scores_;
  std::vector<SampledToken> handed_;
  int changes_ = 0;
  int64_t received_ = 0;
};

TEST_F(PromptScoresTest, AreThoseOfTheTurnsOwnTokens) {
  StartTurn(/*tokens=*/50, /*first=*/20);
  StartScores();
  EXPECT_EQ(scores_->Next(kPartMax), std::nullopt);
  EXPECT_EQ(changes_, 0);
  TakeAll();
  ExpectAll();
  EXPECT_EQ(handed_.size(), 30u);
  EXPECT_GT(changes_, 0);
  RunToEnd();
  ExpectPlain();
}

TEST_F(PromptScoresTest, TheSessionsFirstTokenHasNone) {
  StartTurn(/*tokens=*/1, /*first=*/0);
  const int opened = target()->opened;
  StartScores();
  TakeAll();
  ExpectAll();
  EXPECT_EQ(handed_, (std::vector<SampledToken>{{.id = 3}}));
  EXPECT_EQ(target()->opened, opened);  // no worker is asked
}

TEST_F(PromptScoresTest, WithoutAlternatives) {
  StartTurn(/*tokens=*/9, /*first=*/0, /*alternatives=*/0);
  StartScores();
  TakeAll();
  ExpectAll();
  EXPECT_TRUE(handed_.back().alternatives.empty());
}

TEST_F(PromptScoresTest, GoOnFromAnyToken) {
  StartTurn(/*tokens=*/30, /*first=*/5);
  for (int64_t received = 0; received <= 25; ++received) {
    StartScores(received);
    TakeAll();
    ExpectAll();
  }
  StartScores(25);
  EXPECT_TRUE(scores_->is_over());
}

TEST_F(PromptScoresTest, APieceWaitsForItsReader) {
  constexpr Position kTokens = 2 * kPromptPieceTokens + 100;
  StartTurn(kTokens, /*first=*/0);
  RunToEnd();  // the turn itself
  ExpectReleased();
  const int opened = target()->opened;
  StartScores();
  for (const Position held :
       {kPromptPieceTokens, kPromptPieceTokens, Position{99}}) {
    Take();
    // All that there will be: no worker holds KV for a reader that waits.
    while (Step()) {
    }
    ExpectReleased();
    EXPECT_EQ(target()->last_open.score_from,
              static_cast<Position>(handed_.size()));
    const size_t before = handed_.size();
    while (handed_.size() < before + static_cast<size_t>(held)) {
      const auto part = scores_->Next(1);
      ASSERT_TRUE(part.has_value());
      handed_.push_back(part->tokens[0]);
    }
    EXPECT_EQ(scores_->Next(1), std::nullopt);
    // The next one has begun.
    RunUntil([this] { return target()->streams > 0; });
  }
  EXPECT_EQ(target()->opened, opened + 3);
  ExpectAll();
}

TEST_F(PromptScoresTest, GoOnWhereAWorkerIsLost) {
  AddTarget("t2")->faults = {.close = 20};
  target()->faults = {.close = 20};
  StartTurn(/*tokens=*/300, /*first=*/10);
  const int opened = target()->opened;
  for (int i = 0; i < 10; ++i) {
    StartScores();
    TakeAll();
    ExpectAll();
  }
  EXPECT_GT(target()->opened, opened + 10);
}

TEST_F(PromptScoresTest, SayWhyTheyCanNotBeHad) {
  StartTurn(/*tokens=*/30, /*first=*/10);
  RunToEnd();
  target()->faults.open_close = 1000;
  StartScores();
  TakeAll();
  EXPECT_FALSE(scores_->is_over());
  EXPECT_EQ(GetErrorDetail(scores_->status())->reason, kReasonNoWorker);
  EXPECT_TRUE(handed_.empty());
  EXPECT_EQ(scores_->Next(kPartMax), std::nullopt);
}

TEST_F(PromptScoresTest, AnotherVersionOfTheModelGivesNone) {
  StartTurn(/*tokens=*/30, /*first=*/10);
  RunToEnd();
  directory_.targets["t1"].fingerprint = "next";
  StartScores();
  TakeAll();
  EXPECT_TRUE(absl::IsUnavailable(scores_->status()));
  EXPECT_TRUE(handed_.empty());
}

TEST_F(PromptScoresTest, ACancelledTurnWaitsForNone) {
  StartTurn(/*tokens=*/30, /*first=*/10);
  StartScores();
  EXPECT_FALSE(scores_->is_over());
  runner_->Cancel(FinishReason::kCancelled);
  EXPECT_TRUE(scores_->is_over());
}

}  // namespace
}  // namespace tandem
