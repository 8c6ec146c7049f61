#include "engine/base/checked_math.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

// Against 128-bit arithmetic, at the edges and at random.
TEST(CheckedMathTest, AgreesWithWideArithmetic) {
  std::mt19937_64 random(1);
  const uint64_t edges[] = {0,
                            1,
                            2,
                            0xffffffffULL,
                            0x100000000ULL,
                            0x7fffffffffffffffULL,
                            0xffffffffffffffffULL};
  const auto check = [](uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide sum = static_cast<Wide>(a) + b;
    const Wide product = static_cast<Wide>(a) * b;
    ASSERT_EQ(CheckedAdd(a, b).has_value(), sum >> 64 == 0);
    ASSERT_EQ(CheckedMultiply(a, b).has_value(), product >> 64 == 0);
    if (sum >> 64 == 0) {
      ASSERT_EQ(*CheckedAdd(a, b), uint64_t(sum));
    }
    if (product >> 64 == 0) {
      ASSERT_EQ(*CheckedMultiply(a, b), uint64_t(product));
    }
  };
  for (const uint64_t a : edges) {
    for (const uint64_t b : edges) check(a, b);
  }
  for (int i = 0; i < 10000; ++i) {
    check(random() >> (random() % 64), random() >> (random() % 64));
  }
}

}  // namespace
}  // namespace tandem
