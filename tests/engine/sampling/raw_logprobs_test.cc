#include "engine/sampling/raw_logprobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Row(uint32_t seed, int vocab_size) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(vocab_size);
  for (float& x : logits) x = normal(random);
  return logits;
}

TEST(SummariseTest, FindsTheHighestAndWhatIsCorrupt) {
  for (const int size : {1, 63, 64, 65, 1000}) {
    std::vector<float> logits = Row(size, size);
    EXPECT_EQ(Summarise(logits).highest,
              *std::max_element(logits.begin(), logits.end()));
    EXPECT_FALSE(Summarise(logits).corrupt);
    for (const float wrong : {kNan, kInfinity}) {
      for (const int at : {0, size / 2, size - 1}) {
        std::vector<float> damaged = logits;
        damaged[at] = wrong;
        EXPECT_TRUE(Summarise(damaged).corrupt);
      }
    }
  }
}

TEST(RawLogprobsTest, AreThoseOfTheSoftmax) {
  const std::vector<float> logits = {1, 2, 4, 2, -kInfinity};
  const double sum = std::exp(-3.0) + 2 * std::exp(-2.0) + 1;
  const RawLogprobs logprobs(logits);
  EXPECT_FLOAT_EQ(logprobs.Of(4), static_cast<float>(-std::log(sum)));
  EXPECT_FLOAT_EQ(logprobs.Of(1), static_cast<float>(-3 - std::log(sum)));
  EXPECT_THAT(logprobs.Highest(3),
              ElementsAre(TokenLogprob{2, logprobs.Of(4)},
                          TokenLogprob{1, logprobs.Of(2)},
                          TokenLogprob{3, logprobs.Of(2)}));
  EXPECT_THAT(logprobs.Highest(0), SizeIs(0));
  // One has probability 0.
  EXPECT_THAT(logprobs.Highest(20), SizeIs(4));
}

// A score is what a turn that chose this token tells, bit for bit.
TEST(ScoreTokenTest, EqualsTheLogprobsOfSample) {
  constexpr int kVocabSize = 500;
  for (uint32_t seed = 0; seed < 50; ++seed) {
    const std::vector<float> logits = Row(seed, kVocabSize);
    GenOptions options;
    options.seed = seed;
    options.temperature = seed % 2 == 0 ? 0.0f : 1.5f;
    options.logprobs = static_cast<int>(seed % 21);
    options.logit_bias = {{.id = static_cast<TokenId>(seed * 7), .bias = 20}};
    LogitsProcessor processor(options, kVocabSize, /*history=*/{1}, 1);
    std::vector<float> row = logits;
    const auto sampled = processor.Sample(absl::MakeSpan(row));
    ASSERT_TRUE(sampled.ok());
    const auto score = ScoreToken(logits, sampled->id, *options.logprobs);
    ASSERT_TRUE(score.ok());
    EXPECT_EQ(score->token, *sampled);
  }
}

TEST(ScoreTokenTest, TheLowestIdOfEqualsIsGreedy) {
  const std::vector<float> logits = {0, 3, 1, 3};
  for (const TokenId id : {0, 1, 2, 3}) {
    EXPECT_EQ(ScoreToken(logits, id, 0)->is_greedy, id == 1);
  }
}

TEST(ScoreTokenTest, ATokenOfProbability0HasALogprob) {
  const auto score = ScoreToken(std::vector<float>{-kInfinity, 1}, 0, 2);
  ASSERT_TRUE(score.ok());
  EXPECT_EQ(score->token.logprob, -kInfinity);
  EXPECT_FALSE(score->is_greedy);
}

TEST(ScoreTokenTest, RefusesCorruptRows) {
  const auto reason = [](const std::vector<float>& logits) {
    const auto detail = GetErrorDetail(ScoreToken(logits, 0, 0).status());
    return detail.has_value() ? detail->reason : "";
  };
  EXPECT_EQ(reason({0, kNan}), kReasonNumericCorruption);
  EXPECT_EQ(reason({0, kInfinity}), kReasonNumericCorruption);
  EXPECT_EQ(reason({-kInfinity, -kInfinity}), kReasonNumericCorruption);
}

}  // namespace
}  // namespace tandem
