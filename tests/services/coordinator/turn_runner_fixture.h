// A TurnRunner over fake workers and a loop that the test drives, and a reader
// that takes what there is.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_TURN_RUNNER_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_TURN_RUNNER_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/coordinator/turn/turn_runner.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {

class TurnRunnerFixture : public ::testing::Test, public TurnListener {
 protected:
  TurnRunnerFixture() : loop_(&clock_) {
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
    runner_ = std::make_unique<TurnRunner>(
        &loop_, workers_, limits_,
        TurnSetup{.session_id = "session",
                  .tenant = "tenant",
                  .number = 3,
                  .tokenizer = FakeTokenizer(),
                  .spec = spec_,
                  .timeout = timeout_,
                  .go_on = go_on_,
                  .prompt_logprobs = prompt_logprobs_,
                  .previous_fingerprint = previous_fingerprint_,
                  .last_drafter = last_drafter_,
                  .trace = trace_,
                  .quarantine = quarantine_,
                  .observer = observer_});
    runner_->SetListener(this);
  }
  void Start() {
    Make();
    runner_->Start(
        *workers_->PickTarget({.model_id = "fake", .fingerprint = "fp"}));
  }

  void OnTurnChanged() override {
    if (reads_) Read();
  }

  void Read() {
    const int64_t generated =
        static_cast<int64_t>(runner_->turn().generated().size());
    while (static_cast<int64_t>(tokens_.size()) < generated) {
      const TurnProgress next =
          runner_->rounds().NextGroup(static_cast<int64_t>(tokens_.size()), 8);
      ASSERT_GT(next.tokens, static_cast<int64_t>(tokens_.size()));
      for (int64_t i = static_cast<int64_t>(tokens_.size()); i < next.tokens;
           ++i) {
        tokens_.push_back(runner_->turn().generated()[i]);
      }
      text_ = runner_->turn().text().substr(0, next.text_bytes);
    }
    if (runner_->state() == TurnState::kEnded) text_ = runner_->turn().text();
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
    ASSERT_EQ(runner_->state(), TurnState::kEnded) << runner_->status();
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
  WorkerDirectory* workers_ = &directory_;
  FakeLink* drafter_ = nullptr;
  TurnLimits limits_;
  TurnSpec spec_;
  std::optional<MonotonicDuration> timeout_;
  MonotonicDuration go_on_ = {};
  std::optional<PromptLogprobs> prompt_logprobs_;
  std::string previous_fingerprint_;
  LastWorker last_drafter_;
  std::optional<TraceContext> trace_;
  PromptQuarantine* quarantine_ = nullptr;
  TurnObserver* observer_ = nullptr;
  std::unique_ptr<TurnRunner> runner_;
  bool reads_ = true;
  std::vector<TokenId> tokens_;
  std::string text_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_TURN_RUNNER_FIXTURE_H_
