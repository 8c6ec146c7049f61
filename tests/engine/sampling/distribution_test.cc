// What sampled tokens are distributed as, and how often a draft under shared
// noise is right.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "engine/sampling/gen_options.h"
#include "tests/engine/sampling/reference_sampler.h"

namespace tandem {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Pearson's statistic over `draws` positions against the kept distribution.
void ExpectFollows(const GenOptions& options, const std::vector<float>& logits,
                   absl::Span<const TokenId> base) {
  constexpr int kDraws = 40000;
  const Position generated_from = static_cast<Position>(base.size());
  const std::vector<ScoredToken> kept =
      ReferenceKept(options, base, generated_from, logits);
  double total = 0;
  std::map<TokenId, double> expected;
  for (const ScoredToken& s : kept) {
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
  GenOptions options = PlainOptions();
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
      GenOptions options = PlainOptions();
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
