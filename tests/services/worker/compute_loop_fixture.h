// A compute loop over a gated fake engine, and a client of it.

#ifndef TANDEM_TESTS_SERVICES_WORKER_COMPUTE_LOOP_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_WORKER_COMPUTE_LOOP_FIXTURE_H_

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "services/worker/schedule/compute_loop.h"
#include "tests/services/worker/gated_engine.h"

namespace tandem {

// Collects what the loop delivers.
class LoopClient : public ComputeClient {
 public:
  void OnOpened(const absl::StatusOr<OpenedStream>& opened) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(opened_.has_value());
    opened_ = opened.status();
    if (!opened.ok()) return;
    queued_us_ = opened->queued_us;
    cached_tokens_ = opened->cached_tokens;
  }
  void OnResult(absl::StatusOr<ComputeResult> result) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(closed_);
    results_.push_back(std::move(result));
  }
  void OnScored(const std::vector<ScoredToken>& scores) override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(closed_);
    EXPECT_TRUE(opened_.has_value());
    EXPECT_TRUE(results_.empty());
    scores_.insert(scores_.end(), scores.begin(), scores.end());
  }
  void OnClosed() override {
    absl::MutexLock lock(&mutex_);
    EXPECT_FALSE(closed_);
    closed_ = true;
  }

  absl::Status WaitOpened() {
    const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return opened_.has_value();
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ready));
    return *opened_;
  }
  absl::StatusOr<ComputeResult> WaitResult() {
    const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return !results_.empty();
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ready));
    absl::StatusOr<ComputeResult> result = std::move(results_.front());
    results_.pop_front();
    return result;
  }
  // Once there are `count`.
  std::vector<ScoredToken> WaitScores(size_t count) {
    const auto ready = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return scores_.size() >= count;
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&ready));
    return scores_;
  }
  void WaitClosed() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&closed_));
  }
  bool is_opened() {
    absl::MutexLock lock(&mutex_);
    return opened_.has_value();
  }
  Position cached_tokens() {
    absl::MutexLock lock(&mutex_);
    return cached_tokens_;
  }
  int64_t queued_us() {
    absl::MutexLock lock(&mutex_);
    return queued_us_;
  }
  bool HasResult() {
    absl::MutexLock lock(&mutex_);
    return !results_.empty();
  }

 private:
  absl::Mutex mutex_;
  std::optional<absl::Status> opened_ ABSL_GUARDED_BY(mutex_);
  int64_t queued_us_ ABSL_GUARDED_BY(mutex_) = 0;
  Position cached_tokens_ ABSL_GUARDED_BY(mutex_) = -1;
  std::deque<absl::StatusOr<ComputeResult>> results_ ABSL_GUARDED_BY(mutex_);
  std::vector<ScoredToken> scores_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

inline SequenceDecoderOptions OpenOptions(std::vector<TokenId> tokens,
                                          Position tokens_max = 500) {
  SequenceDecoderOptions options;
  options.generated_from = static_cast<Position>(tokens.size());
  options.tokens = std::move(tokens);
  options.tokens_max = tokens_max;
  options.options.seed = 7;
  options.options.ignore_eos = true;
  return options;
}

inline ComputeRequest Propose(Position position, std::vector<TokenId> tokens,
                              int draft_length) {
  return ProposeAction{.position = position,
                       .tokens = std::move(tokens),
                       .draft_length = draft_length};
}

inline ComputeRequest Verify(Position position, std::vector<TokenId> tokens,
                             std::vector<TokenId> draft) {
  return VerifyAction{.position = position,
                      .tokens = std::move(tokens),
                      .draft = std::move(draft)};
}

class ComputeLoopFixture : public ::testing::Test {
 protected:
  void Start(FakeEngineOptions engine = {}, ComputeLoopOptions options = {}) {
    auto gated = std::make_unique<GatedEngine>(engine);
    engine_ = gated.get();
    loop_ = std::make_unique<ComputeLoop>(std::move(gated), std::move(options));
  }
  ~ComputeLoopFixture() override {
    if (engine_ != nullptr) engine_->OpenGate();
  }

  StreamId MustOpen(LoopClient* client, SequenceDecoderOptions options,
                    absl::string_view tenant = "",
                    absl::Duration queue_timeout = absl::ZeroDuration()) {
    const absl::StatusOr<StreamId> id =
        loop_->Open({.decoder = std::move(options),
                     .tenant = std::string(tenant),
                     .queue_timeout = queue_timeout},
                    client);
    EXPECT_TRUE(id.ok());
    return *id;
  }
  void CloseAndWait(StreamId id, LoopClient* client) {
    loop_->Close(id);
    client->WaitClosed();
  }

  // A request that came after its stream's close is dropped a moment after
  // OnClosed.
  void ExpectNothingPending() {
    while (loop_->load().requests_pending > 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    EXPECT_EQ(loop_->load().requests_pending, 0);
  }

  GatedEngine* engine_ = nullptr;
  std::unique_ptr<ComputeLoop> loop_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_WORKER_COMPUTE_LOOP_FIXTURE_H_
