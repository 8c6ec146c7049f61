#include "engine/base/fixed_math.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace tandem {
namespace {

// Distance in units in the last place of `expected`.
double Ulps(double actual, double expected) {
  const double unit = std::abs(std::nextafter(expected, INFINITY) - expected);
  return std::abs(actual - expected) / unit;
}

TEST(FixedMathTest, LogIsWithinTwoUlpsOfLibm) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> exponent(-1070.0, 1023.0);
  for (int i = 0; i < 100000; ++i) {
    const double x = std::exp2(exponent(random));
    ASSERT_LE(Ulps(FixedLog(x), std::log(x)), 2.0) << x;
  }
  std::uniform_real_distribution<double> near_one(0.5, 2.0);
  for (int i = 0; i < 100000; ++i) {
    const double x = near_one(random);
    ASSERT_LE(Ulps(FixedLog(x), std::log(x)), 2.0) << x;
  }
}

TEST(FixedMathTest, LogAtTheEdges) {
  EXPECT_EQ(FixedLog(1.0), 0.0);
  EXPECT_EQ(FixedLog(0.0), -INFINITY);
  EXPECT_EQ(FixedLog(INFINITY), INFINITY);
  EXPECT_TRUE(std::isnan(FixedLog(-1.0)));
  EXPECT_TRUE(std::isnan(FixedLog(NAN)));
}

TEST(FixedMathTest, ExpIsWithinTwoUlpsOfLibm) {
  std::mt19937_64 random(2);
  std::uniform_real_distribution<double> value(-708.0, 709.0);
  for (int i = 0; i < 100000; ++i) {
    const double x = value(random);
    ASSERT_LE(Ulps(FixedExp(x), std::exp(x)), 2.0) << x;
  }
}

TEST(FixedMathTest, ExpAtTheEdges) {
  EXPECT_EQ(FixedExp(0.0), 1.0);
  EXPECT_EQ(FixedExp(-INFINITY), 0.0);
  EXPECT_EQ(FixedExp(-1e308), 0.0);
  EXPECT_EQ(FixedExp(INFINITY), INFINITY);
  EXPECT_EQ(FixedExp(710.0), INFINITY);
  EXPECT_TRUE(std::isnan(FixedExp(NAN)));
  // Subnormal results are rounded once, so half a unit more is allowed.
  EXPECT_NEAR(FixedExp(-740.0), std::exp(-740.0),
              2 * std::numeric_limits<double>::denorm_min());
}

TEST(FixedMathTest, SinCosStaysWithinItsBound) {
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> value(0.0, 1048576.0);
  for (int i = 0; i < 100000; ++i) {
    const double x = value(random);
    const SinCos result = FixedSinCos(x);
    ASSERT_NEAR(result.sin, std::sin(x), 1e-15) << x;
    ASSERT_NEAR(result.cos, std::cos(x), 1e-15) << x;
  }
  EXPECT_EQ(FixedSinCos(0.0).sin, 0.0);
  EXPECT_EQ(FixedSinCos(0.0).cos, 1.0);
}

// The bits themselves: a compiler or a flag that changes them must fail here.
TEST(FixedMathTest, BitsAreFixed) {
  EXPECT_EQ(FixedLog(0.3), -0x1.34378fcbda721p+0);
  EXPECT_EQ(FixedExp(-0.7), 0x1.fc80db9dd5542p-2);
}

}  // namespace
}  // namespace tandem
