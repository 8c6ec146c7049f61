// How activations are rounded to int8; the one place where it is stated.
//
// Per row and group (of 32, or a super-block of 256): m = the largest
// magnitude, scale = m / 127, value = round(x * (127 / m)), ties to even,
// clamped to -127 .. 127; divisions and products are rounded floats. A group
// whose m is below kQuantizeMin is all zero with scale 0: 127 / m would
// overflow. A group with a NaN or an infinity has values 0 and scale NaN, so
// that every output of the row is NaN: poison reaches the logits, where it is
// reported, and nothing is undefined.
//
// m is found as an integer: the bits of |x| order like its value, and put
// infinity and then NaN above every number.

#ifndef TANDEM_ENGINE_KERNELS_QUANTIZE_CONSTANTS_H_
#define TANDEM_ENGINE_KERNELS_QUANTIZE_CONSTANTS_H_

#include <cstdint>

namespace tandem {

inline constexpr float kQuantizeMax = 127.0f;
inline constexpr float kQuantizeMin = 0x1p-119f;
inline constexpr uint32_t kMagnitudeMask = 0x7fffffffu;
inline constexpr uint32_t kInfinityBits = 0x7f800000u;
inline constexpr uint32_t kQuietNanBits = 0x7fc00000u;

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_QUANTIZE_CONSTANTS_H_
