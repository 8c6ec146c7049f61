#include "engine/kernels/weight_quantizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

constexpr TensorType kTypes[] = {TensorType::kQ8_0, TensorType::kQ4_0,
                                 TensorType::kQ4_K, TensorType::kQ6_K};

// Root of the mean squared error over that of x.
double RelativeError(TensorType type, const std::vector<float>& x) {
  const auto count = static_cast<int64_t>(x.size());
  std::vector<uint8_t> bytes(WeightBytes(type, count));
  QuantizeWeights(type, x.data(), count, bytes.data());
  std::vector<float> back(x.size());
  Dequantize(type, bytes.data(), count, back.data());
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (back[i] - x[i]) * static_cast<double>(back[i] - x[i]);
    norm += x[i] * static_cast<double>(x[i]);
  }
  return std::sqrt(error / norm);
}

// A step s makes an error of s / sqrt(12). Of normal numbers, deviation 1, the
// largest of 32 is about 2.1 and the range about 4.2: Q8_0 has s = 2.1 / 127,
// Q4_0 2.1 / 8, Q4_K 4.2 / 15; of 16 the largest is about 1.8, so Q6_K has
// 1.8 / 32. Scales are rounded too, and the largest varies: a third more.
TEST(WeightQuantizerTest, ErrsByAStep) {
  const std::vector<float> x = RandomFloats(64 * 256, 5);
  EXPECT_LT(RelativeError(TensorType::kQ8_0, x), 2.1 / 127 / 3.46 * 1.33);
  EXPECT_LT(RelativeError(TensorType::kQ4_0, x), 2.1 / 8 / 3.46 * 1.33);
  EXPECT_LT(RelativeError(TensorType::kQ4_K, x), 4.2 / 15 / 3.46 * 1.33);
  EXPECT_LT(RelativeError(TensorType::kQ6_K, x), 1.8 / 32 / 3.46 * 1.33);
}

// Minimums pay where values are not centred: 16 steps span them alone.
TEST(WeightQuantizerTest, Q4_KFollowsShiftedValues) {
  std::vector<float> x = RandomFloats(16 * 256, 6);
  for (float& value : x) value = value * 0.1f - 1;
  EXPECT_LT(RelativeError(TensorType::kQ4_K, x), 0.42 / 15 / 3.46 * 2);
  EXPECT_GT(RelativeError(TensorType::kQ4_0, x), 0.42 / 15 / 3.46 * 2);
}

// What a type can say, it says: values on its own grid come back.
TEST(WeightQuantizerTest, KeepsItsOwnValues) {
  std::vector<float> q8(32);
  for (int i = 0; i < 32; ++i) q8[i] = 0.5f * static_cast<float>(i * 8 - 127);
  EXPECT_EQ(RelativeError(TensorType::kQ8_0, q8), 0);
  std::vector<float> q4(32);
  for (int i = 0; i < 32; ++i) q4[i] = 0.25f * static_cast<float>(i % 16 - 8);
  EXPECT_EQ(RelativeError(TensorType::kQ4_0, q4), 0);
}

TEST(WeightQuantizerTest, KeepsZerosAndTinyValues) {
  for (TensorType type : kTypes) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    for (float value :
         {0.0f, 1e-38f, -1e-30f, 1e-7f, -1e-4f, 3.0f, -60000.0f}) {
      const std::vector<float> x(256, value);
      std::vector<uint8_t> bytes(WeightBytes(type, 256));
      QuantizeWeights(type, x.data(), 256, bytes.data());
      std::vector<float> back(256);
      Dequantize(type, bytes.data(), 256, back.data());
      for (float b : back) {
        ASSERT_TRUE(std::isfinite(b)) << value;
        // Q6_K has the coarsest limit: its fp16 scale is a 32nd of a 128th of
        // the value and vanishes below half of 2^-24, so values below 1.3e-4
        // may.
        EXPECT_NEAR(b, value, std::abs(value) * 0.05f + 1.3e-4f);
      }
    }
  }
}

TEST(WeightQuantizerTest, IsDeterministic) {
  const std::vector<float> x = RandomFloats(4 * 256, 7);
  for (TensorType type : kTypes) {
    std::vector<uint8_t> once(WeightBytes(type, 1024));
    std::vector<uint8_t> parts(WeightBytes(type, 1024));
    QuantizeWeights(type, x.data(), 1024, once.data());
    for (int i = 0; i < 4; ++i) {
      QuantizeWeights(type, x.data() + 256 * i, 256,
                      parts.data() + WeightBytes(type, 256 * i));
    }
    EXPECT_EQ(once, parts);
  }
}

TEST(WeightQuantizerTest, KnowsItsTypes) {
  for (TensorType type : kTypes) EXPECT_TRUE(IsQuantizerType(type));
  EXPECT_TRUE(IsQuantizerType(TensorType::kF16));
  EXPECT_FALSE(IsQuantizerType(TensorType::kQ5_K));
  EXPECT_FALSE(IsQuantizerType(TensorType::kI8));
}

}  // namespace
}  // namespace tandem
