#include "engine/kernels/weight_format.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/kernels/linear.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

// By hand from the format: scale 0x3800 = 0.5; byte i = 16 * high + low.
TEST(WeightFormatTest, DequantizesAQ4_0Block) {
  std::vector<uint8_t> block = {0x00, 0x38};
  for (int i = 0; i < 16; ++i) {
    block.push_back(static_cast<uint8_t>(i | ((15 - i) << 4)));
  }
  float out[32];
  Dequantize(TensorType::kQ4_0, block.data(), 32, out);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(out[i], 0.5f * (i - 8));
    EXPECT_EQ(out[i + 16], 0.5f * (15 - i - 8));
  }
}

// Scale 0xb400 = -0.25.
TEST(WeightFormatTest, DequantizesAQ8_0Block) {
  std::vector<uint8_t> block = {0x00, 0xb4};
  for (int i = 0; i < 32; ++i) {
    block.push_back(static_cast<uint8_t>(i * 8 - 128));
  }
  float out[32];
  Dequantize(TensorType::kQ8_0, block.data(), 32, out);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], -0.25f * (i * 8 - 128));
}

TEST(WeightFormatTest, DequantizesFloats) {
  const uint8_t f32[] = {0x00, 0x00, 0xc0, 0x3f};  // 1.5
  const uint8_t f16[] = {0x00, 0x3e, 0x01, 0x00};  // 1.5, 2^-24
  const uint8_t bf16[] = {0xc0, 0x3f};             // 1.5
  float out[2];
  Dequantize(TensorType::kF32, f32, 1, out);
  EXPECT_EQ(out[0], 1.5f);
  Dequantize(TensorType::kF16, f16, 2, out);
  EXPECT_EQ(out[0], 1.5f);
  EXPECT_EQ(out[1], 0x1p-24f);
  Dequantize(TensorType::kBF16, bf16, 1, out);
  EXPECT_EQ(out[0], 1.5f);
}

TEST(WeightFormatTest, KnowsItsTypes) {
  for (TensorType type : {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
                          TensorType::kQ8_0, TensorType::kQ4_0}) {
    EXPECT_TRUE(IsSupportedWeightType(type));
  }
  EXPECT_FALSE(IsSupportedWeightType(TensorType::kI32));
  EXPECT_FALSE(IsSupportedWeightType(TensorType::kQ2_K));
  EXPECT_EQ(FindWeightFormat(TensorType::kF64), nullptr);
}

TEST(WeightFormatTest, RoundsFloatsToQ8_0) {
  std::vector<float> x = RandomFloats(kGroupInputs, 3);
  WeightGroup group;
  const WeightFormat* format = FindWeightFormat(TensorType::kF32);
  format->pack_group(reinterpret_cast<const uint8_t*>(x.data()), &group);
  const double scale = HalfToFloat(group.scale);
  for (int i = 0; i < kGroupInputs; ++i) {
    // Half a step of the unrounded scale, plus what rounding the scale to a
    // half (2^-11 relative) moves a value of at most 127 steps.
    EXPECT_NEAR((group.codes[i] - kPacked8Zero) * scale, x[i],
                scale * (0.501 + 127 * 0x1p-11));
  }
}

TEST(WeightFormatTest, FloatGroupsWithPoisonGetScaleNan) {
  std::vector<float> x = RandomFloats(kGroupInputs, 3);
  x[4] = -std::numeric_limits<float>::infinity();
  WeightGroup group;
  const WeightFormat* format = FindWeightFormat(TensorType::kF32);
  format->pack_group(reinterpret_cast<const uint8_t*>(x.data()), &group);
  EXPECT_TRUE(std::isnan(HalfToFloat(group.scale)));
  const std::vector<float> zeros(kGroupInputs, 0.0f);
  format->pack_group(reinterpret_cast<const uint8_t*>(zeros.data()), &group);
  EXPECT_EQ(group.scale, 0);
}

}  // namespace
}  // namespace tandem
