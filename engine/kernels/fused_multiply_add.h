// a * b + c rounded once, as the hardware's fused multiply-add gives it, on
// machines without one. Pure.
//
// The product of two floats is exact in a double. The sum s of it and c is
// rounded to a double and then to a float. That second rounding goes wrong
// only where s lies exactly half-way between two floats: otherwise the exact
// sum lies on the same side of every half-way point as s, because half-way
// points of normal floats are doubles and rounding is monotonic. Half-way
// means that the 29 bits which a float has not are 1 followed by zeros. That
// case, and results below the normal floats, go to the library.

#ifndef TANDEM_ENGINE_KERNELS_FUSED_MULTIPLY_ADD_H_
#define TANDEM_ENGINE_KERNELS_FUSED_MULTIPLY_ADD_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace tandem {

inline bool NeedsExactFma(double s) {
  const uint64_t bits = std::bit_cast<uint64_t>(s);
  constexpr uint64_t kDropped = (uint64_t{1} << 29) - 1;
  const bool half_way = (bits & kDropped) == (uint64_t{1} << 28);
  const double magnitude = s < 0 ? -s : s;
  const bool subnormal = magnitude < 0x1p-126 && magnitude != 0;
  return half_way || subnormal;
}

inline float FusedMultiplyAdd(float a, float b, float c) {
  const double s =
      static_cast<double>(a) * static_cast<double>(b) + static_cast<double>(c);
  if (NeedsExactFma(s)) [[unlikely]] {
    return std::fma(a, b, c);
  }
  return static_cast<float>(s);
}

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_FUSED_MULTIPLY_ADD_H_
