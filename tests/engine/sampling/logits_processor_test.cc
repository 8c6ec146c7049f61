#include "engine/sampling/logits_processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <set>

#include "engine/base/error_reason.h"
#include "engine/grammar/grammar_source.h"
#include "tests/engine/sampling/reference_sampler.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

GenOptions Greedy() {
  GenOptions options = PlainOptions();
  options.temperature = 0;
  return options;
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
  GenOptions options = PlainOptions();
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
  GenOptions options = PlainOptions();
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
  GenOptions options = PlainOptions();
  options.top_p = 0.5f;
  EXPECT_THAT(Reachable(options, {1, 1, 1, 1}), UnorderedElementsAre(0, 1));
}

TEST(CuttingTest, TopPCountsOnlyWhatTopKKept) {
  // Of {1/2, 1/4} the first has 2/3 of what is kept; of all it has 1/2.
  const float step = std::log(2.0f);
  GenOptions options = PlainOptions();
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
  GenOptions options = PlainOptions();
  options.min_p = 0.3f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(1, 2));
  options.min_p = 0.2f;
  EXPECT_THAT(Reachable(options, logits), UnorderedElementsAre(0, 1, 2, 3));
  options.min_p = 1.0f;
  EXPECT_THAT(Reachable(options, {3, 1, 3}), UnorderedElementsAre(0, 2));
}

TEST(CuttingTest, TemperatureComesFirst) {
  // At temperature 1/2 the probabilities are 4/5 and 1/5.
  GenOptions options = PlainOptions();
  options.temperature = 0.5f;
  options.top_p = 0.75f;
  EXPECT_THAT(Reachable(options, {std::log(2.0f), 0}), UnorderedElementsAre(0));
  options.temperature = 1;
  EXPECT_THAT(Reachable(options, {std::log(2.0f), 0}),
              UnorderedElementsAre(0, 1));
}

TEST(CuttingTest, PenaltiesComeBeforeTheCuts) {
  GenOptions options = PlainOptions();
  options.repetition_penalty = 10;
  options.top_k = 1;
  EXPECT_THAT(Reachable(options, {5, 4, 3}, {{0}}), UnorderedElementsAre(1));
}

TEST(ExtremesTest, TinyTemperaturesAreGreedy) {
  for (const float t : {std::numeric_limits<float>::denorm_min(), 1e-38f}) {
    GenOptions options = PlainOptions();
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
  GenOptions options = PlainOptions();
  options.repetition_penalty = std::numeric_limits<float>::denorm_min();
  options.temperature = std::numeric_limits<float>::denorm_min();
  EXPECT_THAT(Reachable(options, {3e38f, 3e38f, 2e38f}, {{1, 2}}),
              UnorderedElementsAre(1));
}

TEST(ErrorsTest, NanAndInfinityNameTheToken) {
  for (const float bad : {kNan, -kNan, kInf}) {
    for (GenOptions options : {Greedy(), PlainOptions(), GenOptions()}) {
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
  for (GenOptions options : {Greedy(), PlainOptions(), GenOptions()}) {
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
  GenOptions options = PlainOptions();
  options.logit_bias = {{0, -kInf}};
  EXPECT_THAT(Reachable(options, {9, -kInf, 1}), UnorderedElementsAre(2));
}

// The bits of the sampler: a change here changes the text of every model, so
// kNumericsVersion is raised with it.
TEST(LogitsProcessorTest, GoldenTokens) {
  GenOptions options;
  options.seed = 20240229;
  options.min_p = 0.01f;
  options.presence_penalty = 0.2f;
  std::vector<TokenId> history = {1};
  for (int step = 0; step < 24; ++step) {
    std::vector<float> logits(1000);
    for (int id = 0; id < 1000; ++id) {
      const int hash = (id * 7919 + step * 104729 + history.back() * 31) % 4093;
      logits[id] = static_cast<float>(hash) / 512.0f - 2.0f;
    }
    history.push_back(SampleId(options, history, 1, logits));
  }
  EXPECT_THAT(history, ElementsAre(1, 736, 110, 598, 618, 767, 732, 78, 532,
                                   226, 920, 703, 794, 47, 138, 173, 845, 273,
                                   660, 331, 731, 541, 283, 369, 296));
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
    options.choice = static_cast<int32_t>(random() % kChoicesLimit);
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

TEST(LogitsProcessorTest, ChoicesDifferUnlessGreedy) {
  GenOptions options = PlainOptions();
  const std::vector<float> logits(4096, 1.0f);
  std::set<TokenId> chosen;
  for (options.choice = 0; options.choice < kChoicesLimit; ++options.choice) {
    chosen.insert(SampleId(options, {}, 0, logits));
  }
  // 64 draws of 4,096: three pairs among them have odds of 0.1%.
  EXPECT_GE(chosen.size(), 61u);
  options.temperature = 0;
  for (const int32_t choice : {0, 1, 63}) {
    options.choice = choice;
    EXPECT_EQ(SampleId(options, {}, 0, logits), 0);
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
    GenOptions options = PlainOptions();
    options.seed = random();
    options.top_p =
        std::vector<float>{0.25f, 0.5f, 0.9f, 0.99f, 0.9999999f}[round % 5];
    ASSERT_EQ(SampleId(options, {}, 0, logits),
              ReferenceSample(options, {}, 0, logits))
        << "round " << round;
    // Which tokens are kept at all: only they may come, for any seed.
    std::set<TokenId> kept;
    for (const ScoredToken& s : ReferenceKept(options, {}, 0, logits)) {
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
  GenOptions options = PlainOptions();
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

// Four letters and an end; "ab*" or "d".
TokenConstraint Letters(int32_t min_tokens = 0) {
  const std::vector<absl::string_view> texts = {"a", "b", "c", "d", ""};
  auto grammar =
      CompileGrammar({.kind = GrammarSource::Kind::kRegex, .text = "ab*|d"});
  return TokenConstraint(
      {.masks = std::make_shared<const TokenMasks>(
           *std::move(grammar), std::make_shared<const TokenTrie>(texts)),
       .stop_tokens = {4},
       .min_tokens = min_tokens});
}

TEST(ConstrainedTest, TheGrammarComesBeforeAllElse) {
  GenOptions options = PlainOptions();
  options.logit_bias = {{1, 1000}, {0, -5}};
  options.repetition_penalty = 1.5f;
  for (const int32_t top_k : {0, 1, 2}) {
    for (const float top_p : {1.0f, 0.5f}) {
      for (uint64_t seed = 0; seed < 200; ++seed) {
        options.seed = seed;
        options.top_k = top_k;
        options.top_p = top_p;
        // Banned tokens are none for all steps: as if the row had no others.
        std::vector<float> logits = {2, 9, 9, 1, 9};
        LogitsProcessor processor(options, 5, {{2, 0}}, 2, Letters());
        const SampledToken token = *processor.Sample(absl::MakeSpan(logits));
        EXPECT_EQ(token.id, ReferenceSample(
                                options, {{2, 0}}, 2,
                                std::vector<float>{2, -kInf, -kInf, 1, -kInf}));
      }
    }
  }
}

TEST(ConstrainedTest, LogprobsAreOfTheWholeRow) {
  GenOptions options = Greedy();
  options.logprobs = 2;
  options.logit_bias = {{0, -1}};
  std::vector<float> logits = {0, 2, 1, -9, 0.5};
  std::vector<float> same = logits;
  GenOptions unbiased = Greedy();
  unbiased.logprobs = 2;
  unbiased.logit_bias = {{0, 1000}};  // which chooses the same
  LogitsProcessor plain(unbiased, 5, {}, 0);
  const SampledToken expected = *plain.Sample(absl::MakeSpan(same));
  LogitsProcessor bound(options, 5, {}, 0, Letters());
  EXPECT_EQ(*bound.Sample(absl::MakeSpan(logits)), expected);
  EXPECT_EQ(expected.alternatives[0].id, 1);
}

TEST(ConstrainedTest, CorruptRowsAreSeenFirst) {
  std::vector<float> logits = {0, 0, kNan, 0, 0};  // a banned token's
  LogitsProcessor processor(Greedy(), 5, {}, 0, Letters());
  EXPECT_EQ(
      GetErrorDetail(processor.Sample(absl::MakeSpan(logits)).status())->reason,
      kReasonNumericCorruption);
}

TEST(ConstrainedTest, ABanThatLeavesNothingNamesThePosition) {
  GenOptions options = Greedy();
  options.logit_bias = {{0, -kInf}, {3, -kInf}};
  std::vector<float> logits = {0, 1, 2, 3, 4};
  LogitsProcessor processor(options, 5, {{1, 1, 1}}, 3, Letters());
  const absl::Status status = processor.Sample(absl::MakeSpan(logits)).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNoToken);
  EXPECT_THAT(std::string(status.message()), HasSubstr("position 3"));
}

TEST(ConstrainedTest, TheTurnsTokensMoveItAndTruncateTakesThemBack) {
  const auto choose = [](LogitsProcessor* processor) {
    std::vector<float> logits = {3, 2, 1, 0, 4};
    return processor->Sample(absl::MakeSpan(logits))->id;
  };
  LogitsProcessor processor(Greedy(), 5, {{2, 2}}, 2, Letters());
  EXPECT_EQ(choose(&processor), 0);
  processor.Append(0);
  EXPECT_EQ(choose(&processor), 4);  // the end
  processor.Append(1);
  EXPECT_EQ(choose(&processor), 4);
  EXPECT_FALSE(processor.is_over());
  processor.Truncate(2);
  processor.Append(3);
  EXPECT_TRUE(processor.is_over());
  processor.Truncate(0);  // into the prompt
  EXPECT_FALSE(processor.is_over());
  // Tokens of the turn that stood there before.
  LogitsProcessor moved(Greedy(), 5, {{2, 2, 3}}, 2, Letters());
  EXPECT_TRUE(moved.is_over());
  LogitsProcessor longer(Greedy(), 5, {{2, 2, 0}}, 2, Letters(3));
  EXPECT_EQ(choose(&longer), 1);  // no end before three tokens
}

TEST(LogitsProcessorTest, AbsentSeedCountsAsZero) {
  GenOptions zero = PlainOptions();
  zero.seed = 0;
  GenOptions absent = zero;
  absent.seed.reset();
  for (int length = 0; length < 50; ++length) {
    const std::vector<TokenId> history(length, 0);
    EXPECT_EQ(SampleId(zero, history, 0, {1, 1, 1, 1}),
              SampleId(absent, history, 0, {1, 1, 1, 1}));
  }
}

}  // namespace
}  // namespace tandem
