#include "services/coordinator/score/score_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/client/default_limits.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;

class Transport : public ScoreTransport {
 public:
  void Finish(const absl::StatusOr<v1::ScoreResponse>& response) override {
    EXPECT_FALSE(answer.has_value());
    answer = response;
  }
  std::optional<absl::StatusOr<v1::ScoreResponse>> answer;
};

class ScoreCallTest : public ::testing::Test {
 protected:
  explicit ScoreCallTest(int64_t turns_max = 4, TenantLimits limits = {})
      : loop_(&clock_),
        link_(std::make_shared<FakeLink>(1, "fp")),
        router_([this] { return table_; }, 1),
        memory_(int64_t{1} << 30),
        limits_(limits),
        quotas_(&loop_, turns_max, &limits_, 1),
        sessions_(&loop_, SessionLimits(), &limits_, &memory_),
        background_(16, &memory_) {
    SetTarget("fp");
    services_.loop = &loop_;
    services_.sessions = &sessions_;
    services_.router = &router_;
    services_.background = &background_;
    services_.memory = &memory_;
    services_.quotas = &quotas_;
  }

  void SetTarget(const std::string& fingerprint) {
    WorkerInfo worker;
    worker.address = "t";
    worker.usable = true;
    worker.model_id = "fake";
    worker.fingerprint = fingerprint;
    worker.vocabulary_fingerprint = "vocabulary";
    worker.context_max = 10000;
    worker.vocab_size = FakeTokenizer()->vocab_size();
    worker.tokenizer = FakeTokenizer();
    worker.link = link_;
    table_ = std::make_shared<WorkerTable>(std::vector<WorkerInfo>{worker});
  }

  static v1::ScoreRequest Request(size_t prompt, size_t continuations) {
    v1::ScoreRequest request;
    for (size_t i = 0; i < prompt; ++i) {
      request.mutable_tokens()->add_ids(static_cast<int>(3 + i % 50));
    }
    for (size_t c = 0; c < continuations; ++c) {
      v1::TokenIds* ids = request.add_continuations()->mutable_tokens();
      for (size_t i = 0; i <= c % 7; ++i) {
        ids->add_ids(static_cast<int>(5 + c + i));
      }
    }
    return request;
  }

  std::shared_ptr<ScoreCall> Start(v1::ScoreRequest request) {
    transport_ = {};
    auto call = std::make_shared<ScoreCall>(&services_, &transport_,
                                            ScoreCallSetup{.tenant = "tenant"});
    call->PostRequest(std::move(request));
    return call;
  }
  // What another thread does comes in between.
  void RunUntil(const std::function<bool()>& done) {
    while (!done()) {
      if (loop_.RunReady()) continue;
      if (loop_.NextTimer().has_value()) clock_.AdvanceTo(*loop_.NextTimer());
    }
  }
  absl::StatusOr<v1::ScoreResponse> Run(v1::ScoreRequest request) {
    const auto call = Start(std::move(request));
    RunUntil([this] { return transport_.answer.has_value(); });
    return *transport_.answer;
  }
  static std::string Reason(const absl::Status& status) {
    const auto detail = GetErrorDetail(status);
    return detail.has_value() ? detail->reason : "";
  }

  FakeClock clock_;
  EventLoop loop_;
  std::shared_ptr<FakeLink> link_;
  std::shared_ptr<WorkerTable> table_;
  Router router_;
  MemoryBudget memory_;
  DefaultLimits limits_;
  TurnQuotas quotas_;
  SessionStore sessions_;
  BackgroundQueue background_;
  ClientServices services_;
  Transport transport_;
};

void ExpectScores(const v1::ScoreRequest& request,
                  const v1::ScoreResponse& response) {
  ASSERT_EQ(response.scores_size(), request.continuations_size());
  EXPECT_EQ(response.prompt_tokens(), request.tokens().ids_size());
  for (int c = 0; c < response.scores_size(); ++c) {
    const auto& prompt = request.tokens().ids();
    const auto& ids = request.continuations(c).tokens().ids();
    std::vector<TokenId> tokens(prompt.begin(), prompt.end());
    tokens.insert(tokens.end(), ids.begin(), ids.end());
    const v1::ContinuationScore& score = response.scores(c);
    EXPECT_THAT(score.token_ids(), ElementsAreArray(ids));
    double sum = 0;
    bool is_greedy = true;
    std::vector<float> logprobs;
    for (const ScoredToken& token :
         FakeScores(tokens, prompt.size(), tokens.size())) {
      logprobs.push_back(token.token.logprob);
      sum += token.token.logprob;
      is_greedy = is_greedy && token.is_greedy;
    }
    EXPECT_THAT(score.logprobs(), ElementsAreArray(logprobs));
    EXPECT_EQ(score.logprob(), sum);
    EXPECT_EQ(score.is_greedy(), is_greedy);
  }
}

TEST_F(ScoreCallTest, ScoresInTheOrderOfTheRequest) {
  for (const size_t continuations : {1, 2, 16, 17, 100, 256}) {
    const v1::ScoreRequest request = Request(5, continuations);
    const auto response = Run(request);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->model_id(), "fake");
    EXPECT_EQ(response->fingerprint(), "fp");
    ExpectScores(request, *response);
    EXPECT_EQ(link_->streams, 0);
    EXPECT_EQ(quotas_.turns(), 0);
  }
  EXPECT_EQ(link_->streams_max, static_cast<int>(kScoreLanesMax));
}

TEST_F(ScoreCallTest, TheFirstGoesAheadWhereThePromptIsLong) {
  const v1::ScoreRequest request = Request(kSharedPromptTokens + 1, 20);
  const auto call = Start(request);
  RunUntil([this] { return link_->opened == 1; });
  const size_t ahead = kSharedPromptTokens + 2;
  EXPECT_EQ(link_->last_open.tokens.size(), ahead);
  int opened_before_scores = 0;
  while (!transport_.answer.has_value()) {
    // The others come with the first scores.
    if (link_->opened == 1) ++opened_before_scores;
    if (!loop_.RunReady()) clock_.AdvanceTo(*loop_.NextTimer());
  }
  EXPECT_GT(opened_before_scores, 1);
  ASSERT_TRUE(transport_.answer->ok());
  ExpectScores(request, **transport_.answer);
}

TEST_F(ScoreCallTest, LongTextsAreTokenisedAside) {
  v1::ScoreRequest request;
  std::string prompt;
  for (int i = 0; i < 1500; ++i) absl::StrAppend(&prompt, "w", i % 10, " ");
  request.set_text(prompt);
  request.add_continuations()->set_text("end");
  const auto response = Run(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->prompt_tokens(),
            static_cast<int64_t>(FakeTokenizer()->Encode(prompt, true).size()));
}

TEST_F(ScoreCallTest, ALostWorkerChangesNoNumber) {
  link_->faults.close = 60;
  const v1::ScoreRequest request = Request(40, 60);
  for (int i = 0; i < 10; ++i) {
    const auto response = Run(request);
    ASSERT_TRUE(response.ok()) << response.status();
    ExpectScores(request, *response);
  }
  EXPECT_GT(link_->opened, 610);
}

TEST_F(ScoreCallTest, ErrorsEndTheCallWithAllItsSequences) {
  EXPECT_EQ(Reason(Run(Request(5, 0)).status()), kReasonInvalidOptions);
  v1::ScoreRequest request = Request(5, 1);
  request.set_model_id("other");
  EXPECT_EQ(Reason(Run(request).status()), kReasonUnknownModel);
  link_->faults = {
      .close = 100,
      .close_status = MakeError(absl::StatusCode::kInternal,
                                {.reason = kReasonNumericCorruption}, "NaN")};
  EXPECT_EQ(Reason(Run(Request(5, 100)).status()), kReasonNumericCorruption);
  EXPECT_EQ(link_->streams, 0);
  EXPECT_EQ(quotas_.turns(), 0);
  services_.draining.store(true);
  EXPECT_EQ(Reason(Run(Request(5, 1)).status()), kReasonDraining);
}

TEST_F(ScoreCallTest, ANewVersionInTheMiddleEndsTheCall) {
  const auto call = Start(Request(5, 100));
  RunUntil([this] { return link_->opened >= 40; });
  SetTarget("other");
  RunUntil([this] { return transport_.answer.has_value(); });
  EXPECT_EQ(Reason(transport_.answer->status()), kReasonNoWorker);
}

TEST_F(ScoreCallTest, CancelAndStopEndTheWork) {
  for (const bool is_stop : {false, true}) {
    const int before = link_->opened;
    const auto call = Start(Request(5, 100));
    RunUntil([&] { return link_->opened >= before + 20; });
    if (is_stop) {
      call->PostDrain();
      RunUntil([&] { return link_->opened >= before + 30; });
      EXPECT_FALSE(transport_.answer.has_value());
      call->PostStop();
    } else {
      call->PostCancelled();
    }
    RunUntil([this] { return transport_.answer.has_value(); });
    EXPECT_EQ(transport_.answer->status().code(),
              is_stop ? absl::StatusCode::kUnavailable
                      : absl::StatusCode::kCancelled);
    EXPECT_EQ(link_->streams, 0);
    EXPECT_EQ(quotas_.turns(), 0);
    call->PostCancelled();
    loop_.RunReady();
  }
  // One that is gone before it begins.
  const auto call = Start(Request(5, 1));
  call->PostCancelled();
  RunUntil([this] { return transport_.answer.has_value(); });
  EXPECT_TRUE(absl::IsCancelled(transport_.answer->status()));
}

TEST_F(ScoreCallTest, ARefusedMessageIsAnswered) {
  const auto call = std::make_shared<ScoreCall>(
      &services_, &transport_, ScoreCallSetup{.tenant = "tenant"});
  call->PostRefused(absl::InvalidArgumentError("no message"));
  RunUntil([this] { return transport_.answer.has_value(); });
  EXPECT_TRUE(absl::IsInvalidArgument(transport_.answer->status()));
}

class ScoreQuotaTest : public ScoreCallTest {
 protected:
  ScoreQuotaTest()
      : ScoreCallTest(/*turns_max=*/2, {.tokens_per_minute = 100}) {}
};

TEST_F(ScoreQuotaTest, ACallIsPaidForAsATurn) {
  // 5 tokens of prompt; 1 + 2 + ... + 7 of continuations, and so on: over 100.
  ASSERT_TRUE(Run(Request(5, 30)).ok());
  const absl::Status status = Run(Request(5, 1)).status();
  EXPECT_EQ(Reason(status), kReasonExhausted);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "tenant:tenant");
  EXPECT_TRUE(GetErrorDetail(status)->retry_delay_ms.has_value());
}

TEST_F(ScoreQuotaTest, ACallHoldsOnePlace) {
  const auto first = Start(Request(5, 10));
  RunUntil([this] { return link_->opened >= 1; });
  EXPECT_EQ(quotas_.turns(), 1);
  first->PostCancelled();
  RunUntil([this] { return transport_.answer.has_value(); });
  EXPECT_EQ(quotas_.turns(), 0);
}

}  // namespace
}  // namespace tandem
