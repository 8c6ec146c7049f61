#include "engine/base/fixed_math.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tandem {
namespace {

// ln 2 in two parts; the high part has 32 trailing zero bits, so its product
// with an exponent is exact (fdlibm's constants).
constexpr double kLn2High = 6.93147180369123816490e-01;
constexpr double kLn2Low = 1.90821492927058770002e-10;
constexpr double kInverseLn2 = 1.44269504088896338700e+00;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// m * 2^e, exact but for one rounding into the subnormals.
double Scale(double m, int e) {
  if (e < -1022) {
    m *= 0x1p-1000;
    e += 1000;
    if (e < -1022) return 0.0;
  }
  if (e > 1023) {
    m *= 0x1p1000;
    e -= 1000;
    if (e > 1023) return kInfinity;
  }
  return m * std::bit_cast<double>(static_cast<uint64_t>(e + 1023) << 52);
}

// Nearest integer of |x| < 2^51, ties to even, independent of the compiler's
// choice of instruction.
double RoundToInteger(double x) {
  constexpr double kShift = 0x1.8p52;
  return (x + kShift) - kShift;
}

// Taylor series on |r| <= pi / 4; the first term left out is below 2^-60.
double SinPolynomial(double r) {
  const double z = r * r;
  double p = -1.0 / 121645100408832000.0;  // -1 / 19!
  p = p * z + 1.0 / 355687428096000.0;
  p = p * z - 1.0 / 1307674368000.0;
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return r + r * (z * p);
}

double CosPolynomial(double r) {
  const double z = r * r;
  double p = 1.0 / 2432902008176640000.0;  // 1 / 20!
  p = p * z - 1.0 / 6402373705728000.0;
  p = p * z + 1.0 / 20922789888000.0;
  p = p * z - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  return 1.0 - 0.5 * z + z * (z * p);
}

}  // namespace

double FixedLog(double x) {
  if (!(x >= 0.0)) return kNan;
  if (x == 0.0) return -kInfinity;
  if (x == kInfinity) return kInfinity;
  int exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent -= 54;
  }
  uint64_t bits = std::bit_cast<uint64_t>(x);
  exponent += static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
  double m = std::bit_cast<double>(bits);  // [1, 2)
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  // log(1 + f) = f - f^2/2 + s * (f^2/2 + R(s^2)), s = f / (2 + f), with R
  // the series of log((1 + s) / (1 - s)) past its first term.
  const double f = m - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;  // below 0.0295
  double r = 2.0 / 21.0;
  r = r * z + 2.0 / 19.0;
  r = r * z + 2.0 / 17.0;
  r = r * z + 2.0 / 15.0;
  r = r * z + 2.0 / 13.0;
  r = r * z + 2.0 / 11.0;
  r = r * z + 2.0 / 9.0;
  r = r * z + 2.0 / 7.0;
  r = r * z + 2.0 / 5.0;
  r = r * z + 2.0 / 3.0;
  r = r * z;
  const double half_square = 0.5 * f * f;
  const double e = exponent;
  return e * kLn2High -
         ((half_square - (s * (half_square + r) + e * kLn2Low)) - f);
}

double FixedExp(double x) {
  if (x != x) return kNan;
  if (x > 709.79) return kInfinity;
  if (x < -745.2) return 0.0;
  const double k = RoundToInteger(x * kInverseLn2);
  const double r = (x - k * kLn2High) - k * kLn2Low;  // |r| <= 0.347
  double p = 1.0 / 87178291200.0;                     // 1 / 14!
  p = p * r + 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  return Scale(1.0 + (r + r * r * p), static_cast<int>(k));
}

SinCos FixedSinCos(double x) {
  // pi/2 in three parts of 33 bits (fdlibm's pio2_1..3): products with a
  // quadrant number below 2^20 are exact, and beyond that the error stays far
  // below 1e-15 up to 2^31.
  constexpr double kHalfPi1 = 1.57079632673412561417e+00;
  constexpr double kHalfPi2 = 6.07710050630396597660e-11;
  constexpr double kHalfPi3 = 2.02226624879595063154e-21;
  constexpr double kTwoOverPi = 6.36619772367581382433e-01;
  const double q = RoundToInteger(x * kTwoOverPi);
  const double r = ((x - q * kHalfPi1) - q * kHalfPi2) - q * kHalfPi3;
  const double sine = SinPolynomial(r);
  const double cosine = CosPolynomial(r);
  switch (static_cast<int64_t>(q) & 3) {
    case 0:
      return {.sin = sine, .cos = cosine};
    case 1:
      return {.sin = cosine, .cos = -sine};
    case 2:
      return {.sin = -sine, .cos = -cosine};
    default:
      return {.sin = -cosine, .cos = sine};
  }
}

}  // namespace tandem
