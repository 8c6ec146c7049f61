#include "engine/sampling/noise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace tandem {
namespace {

using Words = std::array<uint32_t, 4>;

// kat_vectors of Random123 1.09 for philox4x32-10.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                       {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                       {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(GumbelNoiseTest, IsTheFormulaOverTheRightWord) {
  const uint64_t seed = 0x0123456789abcdef;
  for (const int32_t choice : {0, 1, 63}) {
    for (const TokenId token : {0, 1, 2, 3, 4, 7, 31999, 127999}) {
      for (const Position position :
           {Position{0}, Position{5}, Position{70000}}) {
        const Words words = Philox4x32(
            {static_cast<uint32_t>(token / 4), static_cast<uint32_t>(position),
             static_cast<uint32_t>(choice), 0},
            {0x89abcdef, 0x01234567});
        const double u = (words[token % 4] + 0.5) / 4294967296.0;
        // FixedLog is within 2 ulp of libm; the outer log divides the inner
        // one's relative error by at most |log|, so 1e-14 is ample.
        EXPECT_NEAR(
            GumbelNoise({.seed = seed, .choice = choice}, position, token),
            -std::log(-std::log(u)),
            1e-14 * (1 + std::fabs(std::log(-std::log(u)))));
      }
    }
  }
}

TEST(GumbelNoiseTest, BoundsHoldAtTheEndsOfTheRange) {
  EXPECT_GT(-std::log(-std::log(0.5 / 4294967296.0)), kGumbelNoiseMin);
  EXPECT_LT(-std::log(-std::log1p(-0.5 / 4294967296.0)), kGumbelNoiseMax);
}

TEST(GumbelNoiseTest, EveryArgumentMatters) {
  EXPECT_NE(GumbelNoise({.seed = 1}, 2, 3), GumbelNoise({.seed = 2}, 2, 3));
  EXPECT_NE(GumbelNoise({.seed = 1}, 2, 3),
            GumbelNoise({.seed = 1 + (uint64_t{1} << 32)}, 2, 3));
  EXPECT_NE(GumbelNoise({.seed = 1}, 2, 3), GumbelNoise({.seed = 1}, 3, 3));
  EXPECT_NE(GumbelNoise({.seed = 1}, 2, 3), GumbelNoise({.seed = 1}, 2, 4));
  EXPECT_NE(GumbelNoise({.seed = 1}, 2, 3),
            GumbelNoise({.seed = 1, .choice = 1}, 2, 3));
  EXPECT_EQ(GumbelNoise({.seed = 1}, 2, 3), GumbelNoise({.seed = 1}, 2, 3));
}

// Mean and variance of a Gumbel variable are Euler's constant and pi^2 / 6.
TEST(GumbelNoiseTest, HasTheRightMoments) {
  constexpr int kCount = 400000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kCount; ++i) {
    const double noise = GumbelNoise({.seed = 42}, i / 1000, i % 1000);
    sum += noise;
    squares += noise * noise;
  }
  const double mean = sum / kCount;
  const double variance = squares / kCount - mean * mean;
  const double sigma = std::sqrt(M_PI * M_PI / 6);
  // 4 standard errors; that of the variance is sqrt((kurtosis - 1) / n) times
  // it, with the kurtosis 5.4.
  EXPECT_NEAR(mean, 0.5772156649, 4 * sigma / std::sqrt(kCount));
  EXPECT_NEAR(variance, sigma * sigma,
              4 * sigma * sigma * std::sqrt(4.4 / kCount));
}

// The correlation of the noises of two choices, over 400,000 pairs; that of
// independent ones has the standard error 1 / sqrt(n).
TEST(GumbelNoiseTest, ChoicesAreIndependent) {
  constexpr int kCount = 400000;
  const double mean = 0.5772156649;
  const double variance = M_PI * M_PI / 6;
  for (const int32_t choice : {1, 2, 63}) {
    double sum = 0;
    for (int i = 0; i < kCount; ++i) {
      const double one = GumbelNoise({.seed = 42}, i / 1000, i % 1000);
      const double other =
          GumbelNoise({.seed = 42, .choice = choice}, i / 1000, i % 1000);
      sum += (one - mean) * (other - mean);
    }
    EXPECT_NEAR(sum / kCount / variance, 0, 4 / std::sqrt(kCount)) << choice;
  }
}

}  // namespace
}  // namespace tandem
