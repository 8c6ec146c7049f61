#include "engine/sampling/logits_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "engine/base/error_reason.h"
#include "engine/base/fixed_math.h"
#include "engine/sampling/noise.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Nothing is cut, penalised or random but the noise.
GenOptions Plain() {
  GenOptions options;
  options.temperature = 1;
  options.top_p = 1;
  options.top_k = 0;
  options.repetition_penalty = 1;
  options.seed = 7;
  return options;
}

GenOptions Greedy() {
  GenOptions options = Plain();
  options.temperature = 0;
  return options;
}

struct Scored {
  double logit;
  TokenId id;
};

// What the processing must keep, in candidate order: the definition written
// down plainly, one pass per step over the whole vocabulary.
std::vector<Scored> ReferenceKept(const GenOptions& options,
                                  absl::Span<const TokenId> history,
                                  Position generated_from,
                                  absl::Span<const float> logits) {
  std::vector<Scored> kept;
  for (size_t i = 0; i < logits.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    double logit = logits[i];
    for (const LogitBias& bias : options.logit_bias) {
      if (bias.id == id) logit += bias.bias;
    }
    const auto in_session = std::count(history.begin(), history.end(), id);
    const auto in_turn =
        std::count(history.begin() + generated_from, history.end(), id);
    if (in_session > 0) {
      const double repetition = options.repetition_penalty;
      logit = logit > 0 ? logit / repetition : logit * repetition;
    }
    if (in_turn > 0) {
      logit -= options.presence_penalty;
      logit -= double{options.frequency_penalty} * static_cast<double>(in_turn);
    }
    if (logit > -kInf) kept.push_back({.logit = logit, .id = id});
  }
  std::sort(kept.begin(), kept.end(), [](const Scored& a, const Scored& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  });
  if (options.temperature == 0) return kept;
  const double t = options.temperature;
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < kept.size()) {
    kept.resize(options.top_k);
  }
  const auto weight = [&kept, t](const Scored& s) {
    return FixedExp(s.logit / t - kept[0].logit / t);
  };
  if (options.top_p < 1) {
    double total = 0;
    for (const Scored& s : kept) total += weight(s);
    double sum = 0;
    size_t count = 0;
    while (count < kept.size()) {
      sum += weight(kept[count++]);
      if (sum >= options.top_p * total) break;
    }
    kept.resize(count);
  }
  size_t count = 0;
  while (count < kept.size() && weight(kept[count]) >= options.min_p) ++count;
  kept.resize(count);
  return kept;
}

TokenId ReferenceSample(const GenOptions& options,
                        absl::Span<const TokenId> history,
                        Position generated_from,
                        absl::Span<const float> logits) {
  const std::vector<Scored> kept =
      ReferenceKept(options, history, generated_from, logits);
  if (options.temperature == 0) return kept.at(0).id;
  double best = -kInf;
  TokenId chosen = -1;
  for (const Scored& s : kept) {
    const double score =
        s.logit / double{options.temperature} +
        GumbelNoise(*options.seed, static_cast<Position>(history.size()), s.id);
    if (score > best || (score == best && s.id < chosen)) {
      best = score;
      chosen = s.id;
    }
  }
  return chosen;
}

TokenId SampleId(const GenOptions& options, absl::Span<const TokenId> history,
                 Position generated_from, std::vector<float> logits) {
  LogitsProcessor processor(options, static_cast<int>(logits.size()), history,
                            generated_from);
  const absl::StatusOr<SampledToken> token =
      processor.Sample(absl::MakeSpan(logits));
  EXPECT_TRUE(token.ok()) << token.status();
  return token.ok() ? token->id : -1;
}

// All tokens that some seed of the first 2,000 chooses.
std::set<TokenId> Reachable(GenOptions options,
                            const std::vector<float>& logits,
                            absl::Span<const TokenId> history = {}) {
  std::set<TokenId> ids;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    options.seed = seed;
    ids.insert(SampleId(options, history, 0, logits));
  }
  return ids;
}

TEST(GreedyTest, TakesTheHighestAndTheLowestIdOfATie) {
  EXPECT_EQ(SampleId(Greedy(), {}, 0, {1, 3, 2}), 1);
  EXPECT_EQ(SampleId(Greedy(), {}, 0, {1, 3, 3, 3}), 1);
  EXPECT_EQ(SampleId(Greedy(), {}, 0, {-5, -kInf, -4}), 2);
  EXPECT_EQ(SampleId(Greedy(), {}, 0, {0.0f, -0.0f}), 0);
  EXPECT_EQ(SampleId(Greedy(), {}, 0, {-0.0f, 0.0f}), 0);
}

TEST(GreedyTest, TieWithAnAdjustedLogitGoesToTheLowestId) {
  GenOptions options = Greedy();
  options.logit_bias = {{2, 1.0f}};
  EXPECT_EQ(SampleId(options, {}, 0, {1, 3, 2}), 1);
  EXPECT_EQ(SampleId(options, {}, 0, {1, 2, 2}), 2);
  options.logit_bias = {{0, 2.0f}};
  EXPECT_EQ(SampleId(options, {}, 0, {1, 3, 3}), 0);
}

TEST(GreedyTest, BiasAndPenaltiesCount) {
  GenOptions options = Greedy();
  options.logit_bias = {{0, -kInf}};
  EXPECT_EQ(SampleId(options, {}, 0, {9, 1, 2}), 2);

  options = Greedy();
  options.repetition_penalty = 2;
  // 4 / 2 = 2 < 3, however often token 0 stands there; negative logits are
  // multiplied: -1 * 2 = -2 < -1.5.
  EXPECT_EQ(SampleId(options, {{0, 0, 0}}, 3, {4, 3, 1}), 1);
  EXPECT_EQ(SampleId(options, {{0, 0, 0}}, 3, {4, 1.5, 1}), 0);
  EXPECT_EQ(SampleId(options, {{0}}, 1, {-1, -1.5, -9}), 1);

  options = Greedy();
  options.presence_penalty = 1;
  // Only tokens generated in this turn: token 0 at index 0 is prompt.
  EXPECT_EQ(SampleId(options, {{0, 2}}, 1, {4, 3.5, 4.2}), 0);
  EXPECT_EQ(SampleId(options, {{0, 2}}, 0, {4, 3.5, 4.2}), 1);
  // Once, however often: 4 - 1 = 3 > 2.5.
  EXPECT_EQ(SampleId(options, {{0, 0, 0}}, 0, {4, 2.5, 0}), 0);

  options = Greedy();
  options.frequency_penalty = 1;
  // 4 - 3 * 1 = 1 < 2.5, and 4 - 1 = 3 > 2.5.
  EXPECT_EQ(SampleId(options, {{0, 0, 0}}, 0, {4, 2.5, 0}), 1);
  EXPECT_EQ(SampleId(options, {{0, 0, 0}}, 2, {4, 2.5, 0}), 0);
}

TEST(GreedyTest, StepsComeInTheStatedOrder) {
  // Bias first: (2 + 2) / 2 = 2 < 2.5; the other way round 2 / 2 + 2 = 3.
  GenOptions options = Greedy();
  options.logit_bias = {{0, 2.0f}};
  options.repetition_penalty = 2;
  EXPECT_EQ(SampleId(options, {{0}}, 1, {2, 2.5}), 1);
  // Repetition before presence: 4 / 2 - 1 = 1 < 1.2; else (4 - 1) / 2 = 1.5.
  options = Greedy();
  options.repetition_penalty = 2;
  options.presence_penalty = 1;
  EXPECT_EQ(SampleId(options, {{0}}, 0, {4, 1.2}), 1);
}

TEST(CuttingTest, TopK) {
  GenOptions options = Plain();
  options.top_k = 2;
  EXPECT_THAT(Reachable(options, {1, 2, 2, 2, 0}), UnorderedElementsAre(1, 2));
  options.top_k = 1;
  EXPECT_THAT(Reachable(options, {2, 2, 2}), UnorderedElementsAre(0));
  options.top_k = INT32_MAX;
  EXPECT_THAT(Reachable(options, {2, 2, 2}), UnorderedElementsAre(0, 1, 2));
  options.top_k = 0;
  EXPECT_THAT(Reachable(options, {2, 2, 2}), UnorderedElementsAre(0, 1, 2));
}

TEST(CuttingTest, TopP) {
  // Probabilities 1/2, 1/4, 1/8, 1/8.
  const float step = std::log(2.0f);
  const std::vector<float> logits = {0, 2 * step, step, 0};
  GenOptions options = Plain();
  options.top_p = 0.4f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(1));
  options.top_p = 0.7f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(1, 2));
  options.top_p = 0.8f;  // a tie for the third place: the lower id
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(0, 1, 2));
  options.top_p = 0.9f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(0, 1, 2, 3));
  options.top_p = std::numeric_limits<float>::denorm_min();
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(1));
}

TEST(CuttingTest, TopPStopsWhereTheSumIsReachedExactly) {
  // Four equal ones: 2 of 4 sum to exactly one half.
  GenOptions options = Plain();
  options.top_p = 0.5f;
  EXPECT_THAT(Reachable(options, {1, 1, 1, 1}), UnorderedElementsAre(0, 1));
}

TEST(CuttingTest, TopPCountsOnlyWhatTopKKept) {
  // Of {1/2, 1/4} the first has 2/3 of what is kept; of all it has 1/2.
  const float step = std::log(2.0f);
  GenOptions options = Plain();
  options.top_k = 2;
  options.top_p = 0.6f;
  EXPECT_THAT(Reachable(options, {2 * step, step, 0, 0}),
              UnorderedElementsAre(0));
  options.top_k = 0;
  EXPECT_THAT(Reachable(options, {2 * step, step, 0, 0}),
              UnorderedElementsAre(0, 1));
}

TEST(CuttingTest, MinP) {
  const float step = std::log(2.0f);
  const std::vector<float> logits = {0, 2 * step, step, 0};
  GenOptions options = Plain();
  options.min_p = 0.3f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(1, 2));
  options.min_p = 0.2f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(0, 1, 2, 3));
  options.min_p = 1.0f;
  EXPECT_THAT(Reachable(options, {3, 1, 3}), UnorderedElementsAre(0, 2));
}

TEST(CuttingTest, TemperatureComesFirst) {
  // At temperature 1/2 the probabilities are 4/5 and 1/5.
  GenOptions options = Plain();
  options.temperature = 0.5f;
  options.top_p = 0.75f;
  EXPECT_THAT(Reachable(options, {std::log(2.0f), 0}), UnorderedElementsAre(0));
  options.temperature = 1;
  EXPECT_THAT(Reachable(options, {std::log(2.0f), 0}),
              UnorderedElementsAre(0, 1));
}

TEST(CuttingTest, PenaltiesComeBeforeTheCuts) {
  GenOptions options = Plain();
  options.repetition_penalty = 10;
  options.top_k = 1;
  EXPECT_THAT(Reachable(options, {5, 4, 3}, {{0}}), UnorderedElementsAre(1));
}

TEST(ExtremesTest, TinyTemperaturesAreGreedy) {
  for (const float t : {std::numeric_limits<float>::denorm_min(), 1e-38f}) {
    GenOptions options = Plain();
    options.temperature = t;
    for (const bool cut : {false, true}) {
      if (cut) options.top_p = 0.9f;
      EXPECT_THAT(Reachable(options, {1, 3, 2}), UnorderedElementsAre(1));
      EXPECT_THAT(Reachable(options, {-3e38f, 3e38f, 2}),
                  UnorderedElementsAre(1));
      EXPECT_THAT(Reachable(options, {-3e38f, -2e38f}),
                  UnorderedElementsAre(1));
    }
  }
}

TEST(ExtremesTest, TinyRepetitionPenaltyDoesNotOverflow) {
  GenOptions options = Plain();
  options.repetition_penalty = std::numeric_limits<float>::denorm_min();
  options.temperature = std::numeric_limits<float>::denorm_min();
  EXPECT_THAT(Reachable(options, {3e38f, 3e38f, 2e38f}, {{1, 2}}),
              UnorderedElementsAre(1));
}

TEST(ErrorsTest, NanAndInfinityNameTheToken) {
  for (const float bad : {kNan, -kNan, kInf}) {
    for (GenOptions options : {Greedy(), Plain(), GenOptions()}) {
      options.logit_bias = {{2, -kInf}};  // banned, but corrupt all the same
      std::vector<float> logits = {1, 2, bad, 3};
      LogitsProcessor processor(options, 4, {}, 0);
      const absl::Status status =
          processor.Sample(absl::MakeSpan(logits)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
      EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNumericCorruption);
      EXPECT_THAT(std::string(status.message()), HasSubstr("token 2"));
    }
  }
}

TEST(ErrorsTest, AllBanned) {
  for (GenOptions options : {Greedy(), Plain(), GenOptions()}) {
    options.logit_bias = {{1, -kInf}};
    std::vector<float> logits = {-kInf, 2, -kInf};
    LogitsProcessor processor(options, 3, {{1}}, 0);
    const absl::Status status =
        processor.Sample(absl::MakeSpan(logits)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoToken);
  }
}

TEST(ErrorsTest, BannedTokensNeverCome) {
  GenOptions options = Plain();
  options.logit_bias = {{0, -kInf}};
  EXPECT_THAT(Reachable(options, {9, -kInf, 1}), UnorderedElementsAre(2));
}

// Random rows of several shapes against the plain definition.
TEST(LogitsProcessorTest, EqualsTheDefinition) {
  std::mt19937_64 random(1);
  const auto pick = [&random](auto... values) {
    const std::vector<double> list = {static_cast<double>(values)...};
    return list[random() % list.size()];
  };
  for (int round = 0; round < 3000; ++round) {
    const int vocab_size = static_cast<int>(pick(1, 2, 5, 40, 127, 129, 600));
    GenOptions options;
    options.temperature = pick(0, 1e-3, 0.3, 0.7, 1, 5, 100);
    options.top_k = pick(0, 0, 1, 3, 40, 130, 5000);
    options.top_p = pick(1e-6, 0.1, 0.5, 0.9, 0.999, 1, 1);
    options.min_p = pick(0, 0, 0.01, 0.2, 1);
    options.repetition_penalty = pick(1, 1.1, 0.5, 3);
    options.presence_penalty = pick(0, 0, 0.5, -2);
    options.frequency_penalty = pick(0, 0, 0.25, -1);
    options.seed = random();
    for (int id = 0; id < vocab_size; ++id) {
      if (random() % 8 != 0 || id == vocab_size / 2) continue;
      const float bias = pick(-kInf, -1, 0, 2.5, 1000);
      options.logit_bias.push_back({.id = id, .bias = bias});
    }
    std::vector<TokenId> history(random() % 50);
    for (TokenId& id : history) id = random() % vocab_size;
    const Position generated_from = random() % (history.size() + 1);
    std::vector<float> logits(vocab_size);
    // Few distinct values give ties; wide ones give peaks.
    const double grid = pick(0, 0.5, 4);
    std::normal_distribution<double> normal(0, pick(0.01, 1, 8));
    for (float& x : logits) {
      x = grid > 0 ? std::round(normal(random) / grid) * grid : normal(random);
    }
    ASSERT_EQ(SampleId(options, history, generated_from, logits),
              ReferenceSample(options, history, generated_from, logits))
        << "round " << round;
  }
}

// The progressive cut of a large vocabulary, up to sums that are too close to
// call: equal weights make every prefix sum exact.
TEST(LogitsProcessorTest, TopPOverLargeVocabulariesEqualsTheDefinition) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 60; ++round) {
    const int vocab_size = 4096;
    std::vector<float> logits(vocab_size);
    std::normal_distribution<float> normal(0, 1);
    for (float& x : logits) x = (round % 4) * normal(random);
    GenOptions options = Plain();
    options.seed = random();
    options.top_p =
        std::vector<float>{0.25f, 0.5f, 0.9f, 0.99f, 0.9999999f}[round % 5];
    ASSERT_EQ(SampleId(options, {}, 0, logits),
              ReferenceSample(options, {}, 0, logits))
        << "round " << round;
    // Which tokens are kept at all: only they may come, for any seed.
    std::set<TokenId> kept;
    for (const Scored& s : ReferenceKept(options, {}, 0, logits)) {
      kept.insert(s.id);
    }
    for (int seed = 0; seed < 10; ++seed) {
      options.seed = seed;
      EXPECT_TRUE(kept.contains(SampleId(options, {}, 0, logits)));
    }
  }
}

TEST(LogitsProcessorTest, TruncateAndAppendEqualAFreshOne) {
  std::mt19937_64 random(3);
  constexpr int kVocabSize = 20;
  GenOptions options;
  options.presence_penalty = 0.5f;
  options.frequency_penalty = 0.3f;
  options.seed = 5;
  const auto draw = [&random] { return TokenId(random() % kVocabSize); };
  for (int round = 0; round < 200; ++round) {
    std::vector<TokenId> history(1 + random() % 10);
    for (TokenId& id : history) id = draw();
    const Position generated_from = random() % (history.size() + 1);
    LogitsProcessor walked(options, kVocabSize, history, generated_from);
    for (int step = 0; step < 30; ++step) {
      if (random() % 3 == 0) {
        history.resize(generated_from +
                       random() % (history.size() - generated_from + 1));
        walked.Truncate(history.size());
      } else {
        history.push_back(draw());
        walked.Append(history.back());
      }
      ASSERT_EQ(walked.length(), static_cast<Position>(history.size()));
      std::vector<float> logits(kVocabSize);
      for (float& x : logits) x = (random() % 1000) / 200.0f;
      std::vector<float> copy = logits;
      LogitsProcessor fresh(options, kVocabSize, history, generated_from);
      ASSERT_EQ(*walked.Sample(absl::MakeSpan(logits)),
                *fresh.Sample(absl::MakeSpan(copy)));
    }
  }
}

TEST(LogitsProcessorTest, TruncateBelowTheTurnForgetsItsTokens) {
  GenOptions options = Greedy();
  options.frequency_penalty = 1;
  std::vector<float> logits = {4, 3.5};
  // The prompt's token 0 is not generated, also when appended again.
  LogitsProcessor processor(options, 2, {{0, 0}}, 1);
  processor.Truncate(0);
  processor.Append(0);
  EXPECT_EQ(processor.Sample(absl::MakeSpan(logits))->id, 0);
  processor.Append(0);
  logits = {4, 3.5};
  EXPECT_EQ(processor.Sample(absl::MakeSpan(logits))->id, 1);
}

TEST(LogprobsTest, AreThoseOfTheRawLogits) {
  GenOptions options = Greedy();
  options.logprobs = 3;
  options.logit_bias = {{3, 1000.0f}};
  options.repetition_penalty = 5;
  std::vector<float> logits = {1, 2, 2, 0, -kInf};
  LogitsProcessor processor(options, 5, {{1}}, 1);
  const SampledToken token = *processor.Sample(absl::MakeSpan(logits));
  EXPECT_EQ(token.id, 3);
  const double log_sum =
      std::log(std::exp(1.0) + 2 * std::exp(2.0) + std::exp(0.0));
  // One rounding to float of a value below 4 (2^-23) above a few double ulps.
  EXPECT_NEAR(token.logprob, 0 - log_sum, 0x1p-22);
  ASSERT_EQ(token.alternatives.size(), 3u);
  EXPECT_EQ(token.alternatives[0].id, 1);
  EXPECT_NEAR(token.alternatives[0].logprob, 2 - log_sum, 0x1p-22);
  EXPECT_EQ(token.alternatives[1].id, 2);
  EXPECT_EQ(token.alternatives[2].id, 0);
}

TEST(LogprobsTest, CountsAndLimits) {
  GenOptions options = Plain();
  options.logprobs = 0;
  std::vector<float> logits = {0, -kInf};
  LogitsProcessor none(options, 2, {}, 0);
  SampledToken token = *none.Sample(absl::MakeSpan(logits));
  EXPECT_EQ(token.logprob, 0);
  EXPECT_TRUE(token.alternatives.empty());

  // Fewer than asked for where the vocabulary or its support is smaller.
  options.logprobs = 20;
  logits = {0, -kInf, 1};
  LogitsProcessor all(options, 3, {}, 0);
  token = *all.Sample(absl::MakeSpan(logits));
  ASSERT_EQ(token.alternatives.size(), 2u);
  EXPECT_EQ(token.alternatives[0].id, 2);

  // Do not change the choice.
  for (uint64_t seed = 0; seed < 100; ++seed) {
    options.seed = seed;
    GenOptions without = options;
    without.logprobs.reset();
    EXPECT_EQ(SampleId(options, {}, 0, {1, 2, 3}),
              SampleId(without, {}, 0, {1, 2, 3}));
  }
}

TEST(LogitsProcessorTest, AbsentSeedCountsAsZero) {
  GenOptions zero = Plain();
  zero.seed = 0;
  GenOptions absent = zero;
  absent.seed.reset();
  for (int length = 0; length < 50; ++length) {
    const std::vector<TokenId> history(length, 0);
    EXPECT_EQ(SampleId(zero, history, 0, {1, 1, 1, 1}),
              SampleId(absent, history, 0, {1, 1, 1, 1}));
  }
}

// Pearson's statistic over `draws` positions against the kept distribution.
void ExpectFollows(const GenOptions& options, const std::vector<float>& logits,
                   absl::Span<const TokenId> base) {
  constexpr int kDraws = 40000;
  const Position generated_from = static_cast<Position>(base.size());
  const std::vector<Scored> kept =
      ReferenceKept(options, base, generated_from, logits);
  double total = 0;
  std::map<TokenId, double> expected;
  for (const Scored& s : kept) {
    const double w =
        std::exp((s.logit - kept[0].logit) / double{options.temperature});
    expected[s.id] = w;
    total += w;
  }
  std::map<TokenId, int> counts;
  for (int draw = 0; draw < kDraws; ++draw) {
    GenOptions with_seed = options;
    with_seed.seed = 1000003u * static_cast<uint64_t>(draw) + 17;
    ++counts[SampleId(with_seed, base, generated_from, logits)];
  }
  double statistic = 0;
  for (const auto& [id, w] : expected) {
    const double mean = kDraws * w / total;
    ASSERT_GT(mean, 5) << "too rare for the chi-square approximation";
    statistic += (counts[id] - mean) * (counts[id] - mean) / mean;
    counts.erase(id);
  }
  EXPECT_TRUE(counts.empty()) << "a token outside the kept set came";
  // Wilson-Hilferty: the quantile of chi-square at z = 4 (odds 3e-5).
  const double degrees = static_cast<double>(expected.size()) - 1;
  const double base_term =
      1 - 2 / (9 * degrees) + 4 * std::sqrt(2 / (9 * degrees));
  EXPECT_LT(statistic, degrees * base_term * base_term * base_term);
}

TEST(DistributionTest, TokensFollowTheProcessedDistribution) {
  const std::vector<float> logits = {1.0f, 2.5f, 0.2f,  -1.0f, 2.4f,
                                     0.0f, 1.7f, -0.5f, 0.9f,  1.1f};
  GenOptions options = Plain();
  ExpectFollows(options, logits, {{3}});
  options.temperature = 0.7f;
  ExpectFollows(options, logits, {{3}});
  options.top_k = 5;
  ExpectFollows(options, logits, {{3}});
  options.top_k = 0;
  options.top_p = 0.8f;
  ExpectFollows(options, logits, {{3}});
  options.top_p = 1;
  options.min_p = 0.1f;
  ExpectFollows(options, logits, {{3}});
  options = GenOptions();
  options.logit_bias = {{9, 1.0f}, {0, -kInf}};
  options.repetition_penalty = 1.5f;
  ExpectFollows(options, logits, {{1, 4, 4}});
}

// A draft q and a target p that share the noise choose the same token with
// probability sum_i 1 / sum_j max(p_j / p_i, q_j / q_i) (Daliri et al., arXiv
// 2408.07978).
TEST(DistributionTest, AcceptanceUnderSharedNoiseIsTheTheorys) {
  const std::vector<std::pair<std::vector<double>, std::vector<double>>> pairs =
      {{{0.5, 0.5}, {0.5, 0.5}},
       {{0.5, 0.5}, {0.9, 0.1}},
       {{0.7, 0.2, 0.1}, {0.1, 0.2, 0.7}},
       {{0.4, 0.3, 0.2, 0.1}, {0.25, 0.25, 0.25, 0.25}},
       {{0.05, 0.6, 0.05, 0.1, 0.2}, {0.1, 0.5, 0.1, 0.2, 0.1}}};
  constexpr int kDraws = 60000;
  for (const auto& [p, q] : pairs) {
    double theory = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      double sum = 0;
      for (size_t j = 0; j < p.size(); ++j) {
        sum += std::max(p[j] / p[i], q[j] / q[i]);
      }
      theory += 1 / sum;
    }
    std::vector<float> p_logits;
    std::vector<float> q_logits;
    for (const double x : p) p_logits.push_back(std::log(x));
    for (const double x : q) q_logits.push_back(std::log(x));
    int equal = 0;
    for (int draw = 0; draw < kDraws; ++draw) {
      GenOptions options = Plain();
      options.seed = 7919u * static_cast<uint64_t>(draw) + 1;
      equal += SampleId(options, {}, 0, p_logits) ==
               SampleId(options, {}, 0, q_logits);
    }
    const double sigma = std::sqrt(theory * (1 - theory) / kDraws);
    EXPECT_NEAR(static_cast<double>(equal) / kDraws, theory, 3 * sigma + 1e-12);
  }
}

}  // namespace
}  // namespace tandem
