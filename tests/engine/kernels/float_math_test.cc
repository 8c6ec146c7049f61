#include "engine/kernels/float_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Distance in units of the last place of the correctly rounded result.
double UlpError(float actual, double expected) {
  const float rounded = static_cast<float>(expected);
  const double ulp = std::nextafter(rounded, kInfinity) - rounded;
  return std::abs(actual - expected) / ulp;
}

TEST(FixedExpFloatTest, IsWithinTwoUlp) {
  double worst = 0;
  for (double x = -87.0; x <= 88.0; x += 1e-4) {
    const float at = static_cast<float>(x);
    worst = std::max(worst, UlpError(FixedExpFloat(at), std::exp(at + 0.0)));
  }
  for (float tiny = 1e-30f; tiny < 1.0f; tiny *= 1.01f) {
    worst =
        std::max(worst, UlpError(FixedExpFloat(tiny), std::exp(tiny + 0.0)));
    worst =
        std::max(worst, UlpError(FixedExpFloat(-tiny), std::exp(0.0 - tiny)));
  }
  EXPECT_LE(worst, 2.0);
}

TEST(FixedExpFloatTest, HasDefinedEnds) {
  EXPECT_EQ(FixedExpFloat(0.0f), 1.0f);
  EXPECT_EQ(FixedExpFloat(-0.0f), 1.0f);
  EXPECT_EQ(FixedExpFloat(std::nextafter(-87.0f, -88.0f)), 0.0f);
  EXPECT_EQ(FixedExpFloat(-kInfinity), 0.0f);
  EXPECT_EQ(FixedExpFloat(std::nextafter(88.0f, 89.0f)), kInfinity);
  EXPECT_EQ(FixedExpFloat(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(FixedExpFloat(kNan)));
  EXPECT_GT(FixedExpFloat(-87.0f), 0.0f);
  EXPECT_LT(FixedExpFloat(88.0f), kInfinity);
}

TEST(FixedTanhFloatTest, IsWithinThreeUlp) {
  double worst = 0;
  for (double x = -10.0; x <= 10.0; x += 1e-4) {
    const float at = static_cast<float>(x);
    worst = std::max(worst, UlpError(FixedTanhFloat(at), std::tanh(at + 0.0)));
  }
  for (float tiny = 1e-30f; tiny < 1.0f; tiny *= 1.01f) {
    worst =
        std::max(worst, UlpError(FixedTanhFloat(tiny), std::tanh(tiny + 0.0)));
  }
  EXPECT_LE(worst, 3.0);
}

TEST(FixedTanhFloatTest, HasDefinedEnds) {
  EXPECT_EQ(FixedTanhFloat(0.0f), 0.0f);
  for (float large : {20.0f, 100.0f, 3e38f, kInfinity}) {
    EXPECT_EQ(FixedTanhFloat(large), 1.0f);
    EXPECT_EQ(FixedTanhFloat(-large), -1.0f);
  }
  EXPECT_TRUE(std::isnan(FixedTanhFloat(kNan)));
}

TEST(RmsNormTest, MatchesTheFormula) {
  for (int64_t count : {1, 15, 16, 17, 64, 100}) {
    const std::vector<float> x = RandomFloats(count, 1);
    const std::vector<float> weight = RandomFloats(count, 2);
    double sum = 0;
    for (float v : x) sum += static_cast<double>(v) * v;
    const double inverse = 1 / std::sqrt(sum / count + 1e-5);
    std::vector<float> out(count);
    kScalarKernels.rms_norm(x.data(), weight.data(), count, 1e-5f, out.data());
    for (int64_t i = 0; i < count; ++i) {
      // At most count / 16 + 4 additions and 7 other roundings, each 2^-24
      // relative.
      const double bound = (count / 16 + 11) * 0x1p-24;
      const double expected = x[i] * inverse * weight[i];
      EXPECT_NEAR(out[i], expected, std::abs(expected) * bound);
    }
  }
}

TEST(RmsNormTest, AddsInSixteenLanesAndOneTree) {
  // 2^24 + 1 is lost unless the ones meet first: lanes 0 and 8 are joined
  // before lane 4 comes in.
  std::vector<float> x(16, 0.0f);
  x[0] = 1.0f;
  x[8] = 1.0f;
  x[4] = 0x1p12f;  // squared: 2^24
  const std::vector<float> weight(16, 1.0f);
  std::vector<float> out(16);
  kScalarKernels.rms_norm(x.data(), weight.data(), 16, 0.0f, out.data());
  const float mean = (0x1p24f + 2.0f) / 16.0f;
  EXPECT_EQ(out[4], 0x1p12f * (1.0f / std::sqrt(mean)));
}

TEST(RopeTest, RotatesPairsAndLeavesTheRest) {
  std::vector<float> x = {1, 0, 0, 1, 5, 6, 2, 0, 0, 2, 7, 8};
  const std::vector<float> cos_sin = {0.0f, 1.0f, 0.5f, 0.25f};
  kScalarKernels.rope_interleaved(x.data(), 2, 6, cos_sin.data(), 4);
  EXPECT_EQ(
      x, (std::vector<float>{0, 1, -0.25f, 0.5f, 5, 6, 0, 2, -0.5f, 1, 7, 8}));
}

TEST(RopeTest, RotatesHalvesAndLeavesTheRest) {
  std::vector<float> x = {1, 0, 0, 1, 5, 6, 2, 0, 0, 2, 7, 8};
  const std::vector<float> cos_sin = {0.0f, 0.5f, 1.0f, 0.25f};
  kScalarKernels.rope_half_split(x.data(), 2, 6, cos_sin.data(), 4);
  EXPECT_EQ(
      x, (std::vector<float>{0, -0.25f, 1, 0.5f, 5, 6, 0, -0.5f, 2, 1, 7, 8}));
}

TEST(GeluTest, MatchesTheFormulaAndKeepsPoison) {
  const std::vector<float> gate = {0.0f, 1.0f, -1.0f, 20.0f, -100.0f, kNan};
  const std::vector<float> up = {3.0f, 2.0f, 2.0f, 0.5f, 1.0f, 1.0f};
  std::vector<float> out(gate.size());
  kScalarKernels.gelu_multiply(gate.data(), up.data(), 6, out.data());
  for (int i = 0; i < 5; ++i) {
    const double g = gate[i];
    const double u =
        std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g);
    // As silu; the exponent, below 8 where the result counts, has 4 more
    // roundings.
    EXPECT_NEAR(out[i], 0.5 * g * (1 + std::tanh(u)) * up[i],
                (6 + 4 * 8) * 0x1p-24 * std::abs(g * up[i]) + 1e-36);
  }
  EXPECT_TRUE(std::isnan(out[5]));
}

TEST(SoftCapTest, MatchesTheFormula) {
  const std::vector<float> x = {0.0f, 1.0f, -20.0f, 29.0f, 1000.0f, -kInfinity};
  std::vector<float> out = x;
  kScalarKernels.soft_cap(out.data(), 6, 30.0f);
  for (int i = 0; i < 6; ++i) {
    // 3 ulp of tanh and three other roundings.
    const double expected = 30 * std::tanh(x[i] / 30.0);
    EXPECT_NEAR(out[i], expected, 9 * 0x1p-24 * std::abs(expected));
  }
}

TEST(ScaleTest, Multiplies) {
  std::vector<float> x = {1.0f, -2.0f, kInfinity};
  kScalarKernels.scale(x.data(), 3, 0.5f);
  EXPECT_EQ(x, (std::vector<float>{0.5f, -1.0f, kInfinity}));
}

TEST(SiluTest, MatchesTheFormulaAndKeepsPoison) {
  const std::vector<float> gate = {0.0f, 1.0f, -1.0f, 20.0f, -100.0f, kNan};
  const std::vector<float> up = {3.0f, 2.0f, 2.0f, 0.5f, 1.0f, 1.0f};
  std::vector<float> out(gate.size());
  kScalarKernels.silu_multiply(gate.data(), up.data(), 6, out.data());
  for (int i = 0; i < 5; ++i) {
    const double g = gate[i];
    // 2 ulp of the exponential and three roundings; -100 gives 0 for a value
    // below 1e-41.
    EXPECT_NEAR(out[i], g / (1 + std::exp(-g)) * up[i],
                6 * 0x1p-24 * std::abs(g * up[i]) + 1e-36);
  }
  EXPECT_TRUE(std::isnan(out[5]));
}

TEST(AddInPlaceTest, Adds) {
  std::vector<float> x = {1.0f, 2.0f, kInfinity};
  const std::vector<float> y = {0.5f, -2.0f, 1.0f};
  kScalarKernels.add_in_place(x.data(), y.data(), 3);
  EXPECT_EQ(x, (std::vector<float>{1.5f, 0.0f, kInfinity}));
}

TEST(HalfTest, EveryHalfConvertsAndComesBack) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint16_t half = static_cast<uint16_t>(bits);
    const int exponent = (half >> 10) & 31;
    const int mantissa = half & 0x3ff;
    const float value = HalfToFloat(half);
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(value));
      ASSERT_EQ(FloatToHalf(value), half | 0x200);
      continue;
    }
    double expected = exponent == 31 ? kInfinity
                      : exponent == 0
                          ? std::ldexp(mantissa, -24)
                          : std::ldexp(mantissa + 1024, exponent - 25);
    if ((half & 0x8000) != 0) expected = -expected;
    ASSERT_EQ(value, expected);
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0);
    ASSERT_EQ(FloatToHalf(value), half);
  }
}

TEST(HalfTest, RoundsToNearestEvenBetweenAllNeighbours) {
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const double low = HalfToFloat(half);
    const double high = HalfToFloat(static_cast<uint16_t>(half + 1));
    const float middle = static_cast<float>((low + high) / 2);
    const uint16_t even = (half & 1) == 0 ? half : half + 1;
    ASSERT_EQ(FloatToHalf(middle), even);
    ASSERT_EQ(FloatToHalf(-middle), even | 0x8000);
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, 0.0f)), half);
    ASSERT_EQ(FloatToHalf(std::nextafter(middle, kInfinity)), half + 1);
  }
  EXPECT_EQ(FloatToHalf(65519.996f), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(FloatToHalf(1e30f), 0x7c00);
  EXPECT_EQ(FloatToHalf(-kInfinity), 0xfc00);
  EXPECT_EQ(FloatToHalf(0x1p-25f), 0);
  EXPECT_EQ(FloatToHalf(0x1.8p-25f), 1);
  EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(kNan))));
  // A NaN whose upper mantissa bits are zero must not become infinity.
  EXPECT_TRUE(
      std::isnan(HalfToFloat(FloatToHalf(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Bf16Test, EveryValueComesBackAndMiddlesRoundToEven) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const uint16_t value = static_cast<uint16_t>(bits);
    const float wide = Bf16ToFloat(value);
    if (std::isnan(wide)) {
      ASSERT_EQ(FloatToBf16(wide), value | 0x40);
      continue;
    }
    ASSERT_EQ(FloatToBf16(wide), value);
    if (std::isinf(wide)) continue;
    const uint32_t exact = bits << 16;
    const uint16_t even = value + (value & 1);
    ASSERT_EQ(FloatToBf16(std::bit_cast<float>(exact | 0x8000)), even);
    ASSERT_EQ(FloatToBf16(std::bit_cast<float>(exact | 0x7fff)), value);
    ASSERT_EQ(FloatToBf16(std::bit_cast<float>(exact | 0x8001)), value + 1);
  }
  // A NaN whose upper mantissa bits are zero must not become infinity.
  EXPECT_TRUE(
      std::isnan(Bf16ToFloat(FloatToBf16(std::bit_cast<float>(0x7f800001u)))));
}

}  // namespace
}  // namespace tandem
