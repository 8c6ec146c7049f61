#include "services/coordinator/workers/grpc_worker_link.h"

#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/services/coordinator/fake_model.h"
#include "tests/services/coordinator/fake_worker_service.h"

namespace tandem {
namespace {

// Records events; the loop is driven by hand on the test's thread.
class GrpcWorkerLinkTest : public ::testing::Test, public WorkerStreamEvents {
 protected:
  GrpcWorkerLinkTest() { Connect(worker_->address()); }
  ~GrpcWorkerLinkTest() override {
    stream_.reset();
    RunUntil([this] { return link_->tracker().own_streams() == 0; });
  }

  void Connect(const std::string& address) {
    const auto channel =
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    pulse_ = std::make_shared<GrpcWorkerPulse>(channel);
    link_ = std::make_unique<GrpcWorkerLink>(channel, pulse_);
  }
  void Open(const std::string& fingerprint = "fingerprint-1",
            std::optional<MonotonicTime> deadline = std::nullopt) {
    GenOptions options;
    options.seed = 1;
    stream_ = link_->Open({.session_id = "s",
                           .turn = 2,
                           .model_id = "fake",
                           .fingerprint = fingerprint,
                           .tokens = tokens_,
                           .generated_from = 2,
                           .tokens_max = 100,
                           .options = options,
                           .tenant = "tenant",
                           .tenant_kv_share = 0.25,
                           .queue_timeout = queue_timeout_,
                           .score_from = score_from_,
                           .score_alternatives = score_from_ > 0 ? 3 : 0},
                          &loop_, this, deadline);
  }
  template <typename Predicate>
  void RunUntil(Predicate done) {
    while (!done()) {
      if (!loop_.RunReady()) std::this_thread::yield();
    }
  }

  void OnOpened(const OpenedSequence& opened) override {
    opened_ = opened.fingerprint;
    cached_tokens_ = opened.cached_tokens;
    queued_us_ = opened.queued_us;
  }
  void OnAnswer(WorkerAnswer answer) override {
    answer_ = std::move(answer);
    if (destroy_in_callback_) stream_.reset();
  }
  void OnScored(WorkerScores scores) override {
    EXPECT_EQ(scores.position,
              score_from_ + static_cast<Position>(scores_.size()));
    scores_.insert(scores_.end(), scores.tokens.begin(), scores.tokens.end());
  }
  void OnClosed(const absl::Status& status) override {
    closed_ = status;
    if (destroy_in_callback_) stream_.reset();
  }

  std::unique_ptr<FakeWorker> worker_ = std::make_unique<FakeWorker>();
  EventLoop loop_;
  std::shared_ptr<WorkerPulse> pulse_;
  std::unique_ptr<GrpcWorkerLink> link_;
  std::unique_ptr<WorkerStream> stream_;
  bool destroy_in_callback_ = false;
  std::vector<TokenId> tokens_ = {1, 260};
  Position score_from_ = 0;
  std::vector<ScoredToken> scores_;
  MonotonicDuration queue_timeout_ = std::chrono::milliseconds(1500);
  std::optional<std::string> opened_;
  int64_t cached_tokens_ = -1;
  int64_t queued_us_ = -1;
  std::optional<WorkerAnswer> answer_;
  std::optional<absl::Status> closed_;
};

TEST_F(GrpcWorkerLinkTest, CarriesRequestsAndAnswers) {
  Open();
  stream_->Propose({.position = 1, .tokens = {260}, .draft_length = 3});
  RunUntil([this] { return answer_.has_value(); });
  EXPECT_EQ(opened_, "fingerprint-1");
  EXPECT_EQ(cached_tokens_, 6);  // the bytes of the tenant's name
  EXPECT_EQ(queued_us_, 7);
  EXPECT_EQ(answer_->position, 2);
  EXPECT_EQ(answer_->tokens.size(), 3u);
  std::vector<TokenId> draft;
  for (const SampledToken& token : answer_->tokens) draft.push_back(token.id);
  answer_.reset();
  stream_->Verify({.position = 1, .tokens = {260}, .draft = draft});
  RunUntil([this] { return answer_.has_value(); });
  EXPECT_EQ(answer_->position, 2);
  ASSERT_FALSE(answer_->tokens.empty());
  EXPECT_EQ(answer_->tokens[0].id, FakeTargetToken({1, 260}));
  EXPECT_EQ(answer_->compute_us, 1);
  EXPECT_EQ(link_->tracker().own_streams(), 1);
}

TEST_F(GrpcWorkerLinkTest, CarriesScores) {
  tokens_ = {1, 260, 261, 262, 263, 264, 265, 266};
  score_from_ = 1;
  Open();
  RunUntil([this] { return scores_.size() == 7; });
  EXPECT_EQ(scores_, FakeScores(tokens_, 1, 7, 3));
  EXPECT_EQ(worker_->service().last_open().score_from(), 1);
  EXPECT_EQ(worker_->service().last_open().score_alternatives(), 3);
  // The worker owes nothing more.
  for (int looks = 0; looks < 100; ++looks) {
    EXPECT_FALSE(pulse_->Look(kPulseTick));
  }
}

TEST_F(GrpcWorkerLinkTest, AWorkerThatOwesScoresAndIsSilentHangs) {
  worker_->service().hold = true;
  score_from_ = 1;
  Open();
  RunUntil([this] { return opened_.has_value(); });
  worker_->service().SetSilent(true);
  int looks = 0;
  while (!pulse_->Look(kPulseTick)) ASSERT_LT(++looks, 100);
  EXPECT_TRUE(scores_.empty());
}

TEST_F(GrpcWorkerLinkTest, TellsWhoseTurnItIsAndHowLongItMayWait) {
  Open();
  RunUntil([this] { return opened_.has_value(); });
  EXPECT_EQ(worker_->service().last_open().tenant(), "tenant");
  EXPECT_EQ(worker_->service().last_open().tenant_kv_share(), 0.25);
  EXPECT_EQ(worker_->service().last_open().queue_timeout_ms(), 1500);
  stream_.reset();
  opened_.reset();
  // More than a worker takes.
  queue_timeout_ = std::chrono::hours(1000);
  Open();
  RunUntil([this] { return opened_.has_value(); });
  EXPECT_EQ(worker_->service().last_open().queue_timeout_ms(), 3600000);
}

TEST_F(GrpcWorkerLinkTest, DestroyingAStreamEndsTheCall) {
  Open();
  RunUntil([this] { return opened_.has_value(); });
  EXPECT_EQ(worker_->service().streams, 1);
  stream_.reset();
  RunUntil([this] {
    return link_->tracker().own_streams() == 0 &&
           worker_->service().streams == 0;
  });
  EXPECT_FALSE(closed_.has_value());
}

TEST_F(GrpcWorkerLinkTest, AStreamMayBeDestroyedAtOnceAndInItsCallbacks) {
  Open();
  stream_.reset();
  RunUntil([this] { return link_->tracker().own_streams() == 0; });
  destroy_in_callback_ = true;
  Open();
  stream_->Verify({.position = 1, .tokens = {260}, .draft = {}});
  RunUntil([this] { return link_->tracker().own_streams() == 0; });
  EXPECT_TRUE(answer_.has_value());
}

TEST_F(GrpcWorkerLinkTest, TellsHowTheWorkerClosed) {
  Open("another fingerprint");
  RunUntil([this] { return closed_.has_value(); });
  EXPECT_EQ(closed_->code(), absl::StatusCode::kFailedPrecondition);
  // Requests to a closed stream go nowhere.
  for (int i = 0; i < 10; ++i) {
    stream_->Verify({.position = 1, .tokens = {260}, .draft = {}});
  }
}

TEST_F(GrpcWorkerLinkTest, TellsThatTheWorkerDied) {
  destroy_in_callback_ = true;
  Open();
  RunUntil([this] { return opened_.has_value(); });
  worker_.reset();
  RunUntil([this] { return closed_.has_value(); });
  EXPECT_FALSE(closed_->ok());
  EXPECT_FALSE(GetErrorDetail(*closed_).has_value());
}

// Nothing that it was asked can have ended it.
TEST_F(GrpcWorkerLinkTest, TellsThatThereIsNoWorker) {
  Connect("unix:/nonexistent/socket");
  Open();
  RunUntil([this] { return closed_.has_value(); });
  EXPECT_EQ(closed_->code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(GetErrorDetail(*closed_).has_value());
  EXPECT_EQ(GetErrorDetail(*closed_)->reason, kReasonNoWorker);
}

TEST_F(GrpcWorkerLinkTest, TheDeadlineReachesTheCall) {
  worker_->service().hold = true;
  Open("fingerprint-1", loop_.Now() + std::chrono::milliseconds(50));
  stream_->Verify({.position = 1, .tokens = {260}, .draft = {}});
  RunUntil([this] { return closed_.has_value(); });
  EXPECT_EQ(closed_->code(), absl::StatusCode::kDeadlineExceeded);
}

// The pulse knows what the worker owes, and what it was heard of.
TEST_F(GrpcWorkerLinkTest, AWorkerThatOwesAnAnswerAndIsSilentHangs) {
  const auto looks_until_hung = [this] {
    for (int looks = 1; looks <= 100; ++looks) {
      if (pulse_->Look(kPulseTick)) return looks;
    }
    return 0;
  };
  Open();
  RunUntil([this] { return opened_.has_value(); });
  EXPECT_EQ(looks_until_hung(), 0);  // it owes nothing
  worker_->service().SetSilent(true);
  stream_->Verify({.position = 1, .tokens = {260}, .draft = {}});
  loop_.RunReady();
  EXPECT_GT(looks_until_hung(), 10);
  pulse_->CancelCalls();
  RunUntil([this] { return closed_.has_value(); });
  EXPECT_EQ(closed_->code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(looks_until_hung(), 0);  // nobody waits any more
}

}  // namespace
}  // namespace tandem
