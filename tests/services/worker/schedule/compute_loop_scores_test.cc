// Streams whose opening tokens are scored.

#include <gtest/gtest.h>

#include <vector>

#include "engine/base/error_reason.h"
#include "tests/engine/session/sequence_decoder_runs.h"
#include "tests/services/worker/compute_loop_fixture.h"

namespace tandem {
namespace {

using ComputeLoopScoresTest = ComputeLoopFixture;

SequenceDecoderOptions ScoreOptions(size_t tokens, Position score_from) {
  std::vector<TokenId> ids(tokens);
  for (size_t i = 0; i < tokens; ++i) {
    ids[i] = static_cast<TokenId>(3 + i * i % 20);
  }
  SequenceDecoderOptions options = OpenOptions(std::move(ids));
  options.score_from = score_from;
  return options;
}

TEST_F(ComputeLoopScoresTest, ComeInOrderBesideOtherStreams) {
  Start({.rows_max = 32});
  LoopClient other;
  const StreamId other_id = MustOpen(&other, OpenOptions({1, 3, 4}));
  std::vector<SequenceDecoderOptions> options;
  std::vector<LoopClient> clients(5);
  std::vector<StreamId> ids;
  for (size_t i = 0; i < clients.size(); ++i) {
    options.push_back(ScoreOptions(20 + 40 * i, 1 + 7 * i));
    ids.push_back(MustOpen(&clients[i], options.back()));
  }
  ASSERT_TRUE(loop_->Submit(other_id, Verify(2, {4}, {5})).ok());
  EXPECT_TRUE(other.WaitResult().ok());
  for (size_t i = 0; i < clients.size(); ++i) {
    const std::vector<ScoredToken> plain = PlainScores(options[i]);
    EXPECT_EQ(clients[i].WaitScores(plain.size()), plain);
    CloseAndWait(ids[i], &clients[i]);
  }
  CloseAndWait(other_id, &other);
  ExpectNothingPending();
}

TEST_F(ComputeLoopScoresTest, ARequestWaitsForThem) {
  Start();
  LoopClient client;
  const SequenceDecoderOptions options = ScoreOptions(100, 1);
  engine_->ShutGate();
  const StreamId id = MustOpen(&client, options);
  ASSERT_TRUE(loop_->Submit(id, Verify(99, {options.tokens.back()}, {5})).ok());
  engine_->OpenGate();
  EXPECT_TRUE(client.WaitResult().ok());
  // They were there before.
  EXPECT_EQ(client.WaitScores(0), PlainScores(options));
  CloseAndWait(id, &client);
}

TEST_F(ComputeLoopScoresTest, ACorruptRowEndsItsStreamAlone) {
  Start();
  LoopClient bad;
  LoopClient good;
  engine_->CorruptRowAt(50);
  engine_->ShutGate();
  const StreamId bad_id = MustOpen(&bad, ScoreOptions(60, 30));
  const SequenceDecoderOptions options = ScoreOptions(49, 30);
  const StreamId good_id = MustOpen(&good, options);
  engine_->OpenGate();
  const auto result = bad.WaitResult();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(GetErrorDetail(result.status())->reason, kReasonNumericCorruption);
  EXPECT_EQ(good.WaitScores(19), PlainScores(options));
  CloseAndWait(bad_id, &bad);
  CloseAndWait(good_id, &good);
}

TEST_F(ComputeLoopScoresTest, AFailedPassEndsTheStream) {
  Start();
  LoopClient client;
  engine_->FailNextStep();
  const StreamId id = MustOpen(&client, ScoreOptions(60, 30));
  EXPECT_FALSE(client.WaitResult().ok());
  CloseAndWait(id, &client);
}

}  // namespace
}  // namespace tandem
