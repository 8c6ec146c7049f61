// The oracle of super-blocks against what its order of operations says.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/kernels/super_test_util.h"

namespace tandem {
namespace {

// One output of two super-blocks by hand: the totals are integers, the rest two
// roundings a scale.
TEST(ScalarSuperTest, IsAFusedMultiplyAddAScale) {
  ThreadTeam team(1);
  for (TensorType type : kSuperTypes) {
    const TestMatrix matrix(type, 3, 2 * kSuperInputs, 21);
    const SuperMatrix packed =
        SuperMatrix::Pack(type, matrix.data.data(), 3, 2 * kSuperInputs, &team);
    const std::vector<float> x = RandomFloats(2 * kSuperInputs, 22);
    std::vector<ActivationSuperBlock> input(2);
    kScalarSuperKernels.quantize_row(x.data(), 2, 0, input.data());
    float expected = 0;
    for (int b = 0; b < 2; ++b) {
      const WeightSuperBlock block = packed.Block(1, b);
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
    EXPECT_EQ(SuperProduct(kScalarKernels, packed, x, 1)[1], expected)
        << GetTensorTypeInfo(type).name;
  }
}

TEST(ScalarSuperTest, AddsTheMinimumOfAGroup) {
  ThreadTeam team(1);
  const TestMatrix matrix(TensorType::kQ5_1, 1, kGroupInputs, 21);
  const PackedMatrix packed = PackedMatrix::Pack(
      TensorType::kQ5_1, matrix.data.data(), 1, kGroupInputs, &team);
  const std::vector<float> x = RandomFloats(kGroupInputs, 22);
  ActivationGroup input;
  kScalarKernels.quantize_row(x.data(), 1, 0, &input);
  const WeightGroup group = packed.Group(0, 0);
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
TEST(ScalarSuperTest, QuantizesToTheNearestStep) {
  std::vector<float> x = RandomFloats(kSuperInputs, 23);
  ActivationSuperBlock block;
  kScalarSuperKernels.quantize_row(x.data(), 1, 5, &block);
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
  kScalarSuperKernels.quantize_row(x.data(), 1, 5, &block);
  EXPECT_TRUE(std::isnan(block.scales[5]));
  EXPECT_EQ(block.values[5][0], 0);
}

}  // namespace
}  // namespace tandem
