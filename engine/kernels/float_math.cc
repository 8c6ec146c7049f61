#include "engine/kernels/float_math.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace tandem {

float FixedExpFloat(float x) {
  if (x != x) return x;
  if (x < kExpMin) return 0.0f;
  if (x > kExpMax) return std::numeric_limits<float>::infinity();
  const float k = (x * kExpLog2E + kRoundShift) - kRoundShift;
  float r = x - k * kExpLn2High;
  r = r - k * kExpLn2Low;
  float p = kExpPolynomial[0];
  for (int i = 1; i < 6; ++i) p = p * r + kExpPolynomial[i];
  p = p * (r * r) + r;
  p = p + 1.0f;
  const uint32_t power = static_cast<uint32_t>(static_cast<int32_t>(k) + 127)
                         << 23;
  return p * std::bit_cast<float>(power);
}

float FixedTanhFloat(float x) {
  const float square = x * x;
  if (square < kTanhSquareMax) {
    float p = kTanhPolynomial[0];
    for (int i = 1; i < 5; ++i) p = p * square + kTanhPolynomial[i];
    return (p * square) * x + x;
  }
  return 1.0f - 2.0f / (FixedExpFloat(x + x) + 1.0f);
}

float RoundToInt8(const float* x, int count, int8_t* values) {
  uint32_t magnitude = 0;
  for (int i = 0; i < count; ++i) {
    magnitude =
        std::max(magnitude, std::bit_cast<uint32_t>(x[i]) & kMagnitudeMask);
  }
  const float largest = std::bit_cast<float>(magnitude);
  const bool poisoned = magnitude >= kInfinityBits;
  if (poisoned || largest < kQuantizeMin) {
    std::fill_n(values, count, int8_t{0});
    return poisoned ? std::numeric_limits<float>::quiet_NaN() : 0.0f;
  }
  const float inverse = kQuantizeMax / largest;
  for (int i = 0; i < count; ++i) {
    const float rounded = (x[i] * inverse + kRoundShift) - kRoundShift;
    values[i] = static_cast<int8_t>(
        std::min(std::max(rounded, -kQuantizeMax), kQuantizeMax));
  }
  return largest / kQuantizeMax;
}

uint16_t FloatToBf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (value != value) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float Bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 31;
  const uint32_t mantissa = bits & 0x3ff;
  if (exponent == 31) {
    // As the hardware does: a signalling NaN comes out quiet.
    const uint32_t quiet = mantissa != 0 ? 0x400000 : 0;
    return std::bit_cast<float>(sign | 0x7f800000 | quiet | (mantissa << 13));
  }
  if (exponent == 0) {
    // mantissa * 2^-24 is exact; the sign is kept for zero.
    const float value = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) |
                              (mantissa << 13));
}

uint16_t FloatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  }
  // 65520 is half-way between the largest half and 2^16, and rounds up.
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Below the normal halves: adding 0.5 leaves the value in units of 2^-24
    // in the low bits, rounded to nearest even by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

}  // namespace tandem
