// The oracle against what its order of operations says: quantisation of
// activations, the fused multiply-add and one output of a product. More
// products stand in linear_test.cc and packed_matrix_test.cc.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "engine/kernels/fused_multiply_add.h"
#include "engine/kernels/kernel_table.h"
#include "tests/engine/kernels/level_test_util.h"

namespace tandem {
namespace {

ActivationGroup QuantizedGroup(const std::vector<float>& x, int row) {
  ActivationGroup group = {};
  kScalarKernels.quantize_groups(x.data(), 1, row, &group);
  return group;
}

TEST(QuantizeTest, RoundsTiesToEven) {
  std::vector<float> x(kGroupInputs, 0.0f);
  x[0] = 127.0f;  // 127 / 127 = 1: values are x rounded
  x[1] = 0.5f;
  x[2] = 1.5f;
  x[3] = -2.5f;
  x[4] = -126.6f;
  x[5] = 3.4f;
  const ActivationGroup group = QuantizedGroup(x, 3);
  EXPECT_EQ(group.scales[3], 1.0f);
  EXPECT_EQ(group.values[3][0], 127);
  EXPECT_EQ(group.values[3][1], 0);
  EXPECT_EQ(group.values[3][2], 2);
  EXPECT_EQ(group.values[3][3], -2);
  EXPECT_EQ(group.values[3][4], -127);
  EXPECT_EQ(group.values[3][5], 3);
  EXPECT_EQ(group.start4[3], -8 * (127 + 0 + 2 - 2 - 127 + 3));
  EXPECT_EQ(group.start8[3], -128 * (127 + 0 + 2 - 2 - 127 + 3));
}

TEST(QuantizeTest, ErrorIsHalfAStep) {
  const std::vector<float> x = RandomFloats(kGroupInputs, 5);
  const ActivationGroup group = QuantizedGroup(x, 0);
  for (int i = 0; i < kGroupInputs; ++i) {
    // Half a step, plus the roundings of 127 / m, of the product and of the
    // scale: each 2^-24 of a value of at most 127 steps.
    const double bound = group.scales[0] * (0.5 + 4 * 127 * 0x1p-24);
    EXPECT_NEAR(group.values[0][i] * static_cast<double>(group.scales[0]), x[i],
                bound);
  }
}

TEST(QuantizeTest, ZeroAndTinyGroupsAreZero) {
  for (float value : {0.0f, -0.0f, 1e-40f, 0x1p-120f}) {
    const std::vector<float> x(kGroupInputs, value);
    const ActivationGroup group = QuantizedGroup(x, 0);
    EXPECT_EQ(group.scales[0], 0.0f);
    for (int8_t v : group.values[0]) EXPECT_EQ(v, 0);
    EXPECT_EQ(group.start4[0], 0);
  }
}

TEST(QuantizeTest, HugeAndSmallGroupsKeepTheirValues) {
  for (float value : {std::numeric_limits<float>::max(), 0x1p-119f}) {
    const ActivationGroup group =
        QuantizedGroup(std::vector<float>(kGroupInputs, -value), 0);
    EXPECT_EQ(group.scales[0], value / 127.0f);
    for (int8_t v : group.values[0]) EXPECT_EQ(v, -127);
  }
}

TEST(QuantizeTest, NonFiniteGroupsHaveScaleNan) {
  for (float poison : {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = RandomFloats(kGroupInputs, 1);
    x[17] = poison;
    const ActivationGroup group = QuantizedGroup(x, 0);
    EXPECT_TRUE(std::isnan(group.scales[0]));
    for (int8_t v : group.values[0]) EXPECT_EQ(v, 0);
  }
}

// One output of two super-blocks by hand: the totals are integers, the rest two
// roundings a scale.
TEST(ScalarTest, IsAFusedMultiplyAddAScale) {
  ThreadTeam team(1);
  for (TensorType type : kSuperTypes) {
    const TestMatrix matrix(type, 3, 2 * kSuperInputs, 21);
    const PackedMatrix packed = Packed(matrix.source, &team);
    const std::vector<float> x = RandomFloats(2 * kSuperInputs, 22);
    std::vector<ActivationSuperBlock> input(2);
    kScalarKernels.quantize_super_blocks(x.data(), 2, 0, input.data());
    float expected = 0;
    for (int b = 0; b < 2; ++b) {
      const WeightBlock block = packed.Block(1, b);
      int32_t total = 0;
      int32_t taken_off = 0;
      for (int e = 0; e < kSuperInputs; ++e) {
        const int value = input[b].values[0][e];
        total += block.scales[e / 16] *
                 CodeValue(packed.form(), block.codes[e]) * value;
        taken_off += block.minimums[e / 16] * value;
      }
      const float scale = input[b].scales[0];
      expected = std::fma(static_cast<float>(total),
                          HalfToFloat(block.scale) * scale, expected);
      if (type == TensorType::kQ2_K || type == TensorType::kQ4_K ||
          type == TensorType::kQ5_K) {
        expected = std::fma(-static_cast<float>(taken_off),
                            HalfToFloat(block.minimum) * scale, expected);
      }
    }
    EXPECT_EQ(PackedProduct(kScalarKernels, packed, x, 1)[1], expected)
        << GetTensorTypeInfo(type).name;
  }
}

TEST(ScalarTest, AddsTheMinimumOfAGroup) {
  ThreadTeam team(1);
  const TestMatrix matrix(TensorType::kQ5_1, 1, kGroupInputs, 21);
  const PackedMatrix packed = Packed(matrix.source, &team);
  const std::vector<float> x = RandomFloats(kGroupInputs, 22);
  ActivationGroup input;
  kScalarKernels.quantize_groups(x.data(), 1, 0, &input);
  const WeightBlock group = packed.Block(0, 0);
  int32_t dot = 0;
  int32_t sum = 0;
  for (int i = 0; i < kGroupInputs; ++i) {
    dot += group.codes[i] * input.values[0][i];
    sum += input.values[0][i];
  }
  float expected = std::fma(static_cast<float>(dot),
                            HalfToFloat(group.scale) * input.scales[0], 0.0f);
  expected = std::fma(static_cast<float>(sum),
                      HalfToFloat(group.minimum) * input.scales[0], expected);
  EXPECT_EQ(PackedProduct(kScalarKernels, packed, x, 1)[0], expected);
}

// The values of a row times their scale are the row, to half a step.
TEST(ScalarTest, QuantizesToTheNearestStep) {
  std::vector<float> x = RandomFloats(kSuperInputs, 23);
  ActivationSuperBlock block;
  kScalarKernels.quantize_super_blocks(x.data(), 1, 5, &block);
  float largest = 0;
  for (float value : x) largest = std::max(largest, std::abs(value));
  EXPECT_EQ(block.scales[5], largest / 127);
  int sums[kSuperGroups] = {};
  for (int i = 0; i < kSuperInputs; ++i) {
    // The product with the rounded reciprocal may be off by 127 * 2^-23.
    EXPECT_NEAR(block.values[5][i] * block.scales[5], x[i],
                block.scales[5] * 0.5001f);
    sums[i / kSuperGroupInputs] += block.values[5][i];
  }
  for (int g = 0; g < kSuperGroups; ++g) {
    EXPECT_EQ(block.sums16[5][g], sums[g]);
    const int both = sums[g / 2 * 2] + sums[g / 2 * 2 + 1];
    EXPECT_EQ(block.sums32[5][g / 2], both);
    EXPECT_EQ(block.starts32[5][g / 2], -8 * both);
  }
  x[77] = std::numeric_limits<float>::infinity();
  kScalarKernels.quantize_super_blocks(x.data(), 1, 5, &block);
  EXPECT_TRUE(std::isnan(block.scales[5]));
  EXPECT_EQ(block.values[5][0], 0);
}

// The float whose bits are the low 32 of `bits`.
float FloatOf(uint64_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits));
}

TEST(FusedMultiplyAddTest, EqualsTheLibraryOnRandomBits) {
  std::mt19937_64 engine(11);
  int64_t exact_cases = 0;
  for (int i = 0; i < 3'000'000; ++i) {
    const uint64_t random = engine();
    const float a = FloatOf(random);
    const float b = FloatOf(random >> 32);
    const float c = FloatOf(engine());
    const float expected = std::fma(a, b, c);
    const float actual = FusedMultiplyAdd(a, b, c);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(actual));
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(actual),
                std::bit_cast<uint32_t>(expected))
          << a << " " << b << " " << c;
    }
    exact_cases += NeedsExactFma(static_cast<double>(a) * b + c);
  }
  EXPECT_GT(exact_cases, 0);
}

// Sums that a double can not hold and that lie beside a half-way point: where
// rounding twice goes wrong.
TEST(FusedMultiplyAddTest, EqualsTheLibraryNearHalfWayPoints) {
  std::mt19937 engine(12);
  int64_t rounded_twice_differs = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    // c = 1.xxx, a * b = half an ulp of c, plus or minus a tiny part.
    const float c = FloatOf(0x3f800000u | (engine() & 0x7fffffu));
    const float tiny = FloatOf(0x3f800000u + (engine() % 5) - 2);
    const float a = tiny * 0x1p-24f;
    const float b = FloatOf(0x3f800000u + (engine() % 5) - 2);
    const float sign = (engine() & 1) != 0 ? 1.0f : -1.0f;
    const float expected = std::fma(a, sign * b, c);
    ASSERT_EQ(FusedMultiplyAdd(a, sign * b, c), expected);
    const double twice = static_cast<double>(a) * (sign * b) + c;
    rounded_twice_differs += static_cast<float>(twice) != expected;
  }
  // The case that the function exists for does occur.
  EXPECT_GT(rounded_twice_differs, 0);
}

TEST(FusedMultiplyAddTest, EqualsTheLibraryForSubnormalsAndOverflow) {
  std::mt19937 engine(13);
  for (int i = 0; i < 1'000'000; ++i) {
    const float a = FloatOf(engine() & 0x9fffffffu);
    const float b = FloatOf((engine() & 0x83ffffffu) + 0x3c000000u);
    const float c = FloatOf(engine() & 0x80ffffffu);
    ASSERT_EQ(std::bit_cast<uint32_t>(FusedMultiplyAdd(a, b, c)),
              std::bit_cast<uint32_t>(std::fma(a, b, c)));
  }
  const float largest = std::numeric_limits<float>::max();
  for (float b : {0x1p103f, 0x1.fffffep102f, 0x1p102f, -0x1p103f}) {
    EXPECT_EQ(FusedMultiplyAdd(1.0f, b, largest), std::fma(1.0f, b, largest));
  }
  EXPECT_TRUE(std::signbit(FusedMultiplyAdd(-0.0f, 1.0f, -0.0f)));
}

}  // namespace
}  // namespace tandem
