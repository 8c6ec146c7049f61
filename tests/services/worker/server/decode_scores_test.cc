// Decode streams whose opening tokens are scored.

#include <gtest/gtest.h>

#include <vector>

#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

using DecodeScoresTest = WorkerFixture;

std::vector<TokenId> Tokens(size_t count) {
  std::vector<TokenId> tokens(count);
  for (size_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<TokenId>(3 + i * i % 20);
  }
  return tokens;
}

v1::DecodeRequest ScoreRequest(const std::vector<TokenId>& tokens,
                               Position from, int alternatives) {
  v1::DecodeRequest open = OpenRequest(tokens, 200);
  open.mutable_open()->set_score_from(from);
  open.mutable_open()->set_score_alternatives(alternatives);
  return open;
}

// Reads messages until all tokens from `from` on are scored; checks them.
void ExpectScores(DecodeCall* call, absl::Span<const TokenId> tokens,
                  size_t from, int alternatives) {
  while (from < tokens.size()) {
    const auto response = call->Read();
    ASSERT_TRUE(response.has_value());
    ASSERT_TRUE(response->has_scored());
    const v1::ScoredTokens& scored = response->scored();
    EXPECT_EQ(scored.position(), static_cast<int64_t>(from));
    ASSERT_GT(scored.logprobs_size(), 0);
    ASSERT_LE(scored.logprobs_size(), kScoredRowsMax);
    ASSERT_EQ(scored.is_greedy_size(), scored.logprobs_size());
    for (int i = 0; i < scored.logprobs_size(); ++i, ++from) {
      const auto plain = ScoreToken(FakeLogits({}, tokens.first(from)),
                                    tokens[from], alternatives);
      EXPECT_EQ(SampledTokenFromProto(tokens[from], scored.logprobs(i)),
                plain->token);
      EXPECT_EQ(scored.is_greedy(i), plain->is_greedy);
    }
  }
}

TEST_F(DecodeScoresTest, ComeAfterOpenedAndBeforeAnswers) {
  Start(v1::WORKER_ROLE_TARGET);
  const std::vector<TokenId> tokens = Tokens(150);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(ScoreRequest(tokens, 1, 20)));
  ASSERT_TRUE(call.Write(VerifyRequest(149, {tokens.back()}, {})));
  EXPECT_TRUE(call.Read()->has_opened());
  ExpectScores(&call, tokens, 1, 20);
  EXPECT_TRUE(call.Read()->has_decoded());
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());
}

// Who has nothing more to ask may say so at once.
TEST_F(DecodeScoresTest, AHalfCloseWaitsForThem) {
  Start(v1::WORKER_ROLE_TARGET);
  const std::vector<TokenId> tokens = Tokens(150);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(ScoreRequest(tokens, 80, 0)));
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Read()->has_opened());
  ExpectScores(&call, tokens, 80, 0);
  EXPECT_TRUE(call.Finish().ok());
  WaitForLoad([](const v1::WatchResponse& report) {
    return report.models(0).streams_open() == 0;
  });
}

TEST_F(DecodeScoresTest, WhatIsCachedIsUsedBeforeThem) {
  Start(v1::WORKER_ROLE_TARGET, {.kept_page_tokens = 8});
  const std::vector<TokenId> tokens = Tokens(100);
  for (const auto& [from, cached] :
       std::vector<std::pair<size_t, int64_t>>{{50, 0}, {50, 48}, {1, 0}}) {
    DecodeCall call(stub_.get());
    ASSERT_TRUE(call.Write(ScoreRequest(tokens, from, 0)));
    const auto opened = call.Read();
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->opened().cached_tokens(), cached);
    ExpectScores(&call, tokens, from, 0);
    ASSERT_TRUE(call.WritesDone());
    EXPECT_TRUE(call.Finish().ok());
    WaitForLoad([](const v1::WatchResponse& report) {
      return report.models(0).streams_open() == 0;
    });
  }
}

TEST_F(DecodeScoresTest, DraftWorkersRefuse) {
  Start(v1::WORKER_ROLE_DRAFT);
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(ScoreRequest(Tokens(10), 5, 0)));
  const grpc::Status status = call.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonWrongState);
}

}  // namespace
}  // namespace tandem
