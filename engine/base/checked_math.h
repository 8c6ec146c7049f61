// Overflow-safe arithmetic for numbers that come from outside.

#ifndef TANDEM_ENGINE_BASE_CHECKED_MATH_H_
#define TANDEM_ENGINE_BASE_CHECKED_MATH_H_

#include <cstdint>
#include <optional>

namespace tandem {

// a + b, or nothing where it does not fit 64 bits.
inline std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

// a * b, or nothing where it does not fit 64 bits.
inline std::optional<uint64_t> CheckedMultiply(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_CHECKED_MATH_H_
