#include "engine/kernels/weight_format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

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

void Append(const std::vector<uint8_t>& bytes, std::vector<uint8_t>* block) {
  for (uint8_t byte : bytes) block->push_back(byte);
}

// 16 bytes whose low nibbles count 0 .. 15 and whose high ones 15 .. 0.
void AppendNibbles(std::vector<uint8_t>* block) {
  for (int i = 0; i < 16; ++i) {
    block->push_back(static_cast<uint8_t>(i | ((15 - i) << 4)));
  }
}

// Element i of a block of 32 made of them.
int Nibble(int i) { return i < 16 ? i : 31 - i; }

std::vector<float> Dequantized(TensorType type,
                               const std::vector<uint8_t>& block) {
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  EXPECT_EQ(block.size(), info.block_bytes);
  std::vector<float> out(info.block_elements);
  Dequantize(type, block.data(), info.block_elements, out.data());
  return out;
}

// Scale 0x3800 = 0.5, minimum 0xc000 = -2.
TEST(WeightFormatTest, DequantizesAQ4_1Block) {
  std::vector<uint8_t> block = {0x00, 0x38, 0x00, 0xc0};
  AppendNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kQ4_1, block);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], 0.5f * Nibble(i) - 2);
}

// Fifth bits: elements 0 to 7, 16 to 19 and 28 to 31.
const std::vector<uint8_t> kFifthBits = {0xff, 0x00, 0x0f, 0xf0};
int FifthBit(int i) { return i < 8 || (i >= 16 && i < 20) || i >= 28 ? 16 : 0; }

// Scale 0x3400 = 0.25.
TEST(WeightFormatTest, DequantizesAQ5_0Block) {
  std::vector<uint8_t> block = {0x00, 0x34};
  Append(kFifthBits, &block);
  AppendNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kQ5_0, block);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 0.25f * (Nibble(i) + FifthBit(i) - 16));
  }
}

// Scale 0x3400 = 0.25, minimum 0x4200 = 3.
TEST(WeightFormatTest, DequantizesAQ5_1Block) {
  std::vector<uint8_t> block = {0x00, 0x34, 0x00, 0x42};
  Append(kFifthBits, &block);
  AppendNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kQ5_1, block);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(out[i], 0.25f * (Nibble(i) + FifthBit(i)) + 3);
  }
}

// The table of IQ4_NL and IQ4_XS.
constexpr int kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                            1,    13,   25,  38,  53,  69,  89,  113};

// Scale 0x4000 = 2.
TEST(WeightFormatTest, DequantizesAnIQ4_NLBlock) {
  std::vector<uint8_t> block = {0x00, 0x40};
  AppendNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kIQ4_NL, block);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], 2.0f * kTable[Nibble(i)]);
}

// Group g of 16 has the scale g and the minimum 15 - g. All bytes of codes are
// 0xe4 = 3, 2, 1, 0: elements 32 j to 32 j + 31 of each 128 are j. Scale
// 0x3800 = 0.5, minimum 0x3400 = 0.25.
TEST(WeightFormatTest, DequantizesAQ2_KBlock) {
  std::vector<uint8_t> block;
  for (int g = 0; g < 16; ++g) {
    block.push_back(static_cast<uint8_t>(g | ((15 - g) << 4)));
  }
  block.insert(block.end(), 64, 0xe4);
  Append({0x00, 0x38, 0x00, 0x34}, &block);
  const std::vector<float> out = Dequantized(TensorType::kQ2_K, block);
  for (int e = 0; e < 256; ++e) {
    const int g = e / 16;
    const int code = e % 128 / 32;
    EXPECT_EQ(out[e], 0.5f * g * code - 0.25f * (15 - g)) << e;
  }
}

// Third bits: byte l holds those of elements l, 32 + l, ... from its low end;
// 0x0f sets them for the first 128 elements, so that 4 is taken from the
// others. Codes as above. Scale g is stored as g + 24 (value g - 8 plus 32),
// six bits: 24 .. 31 = 01 1000 .. 01 1111, 32 .. 39 = 10 0000 .. 10 0111. So
// byte i of the first 8 has 8 + i in its low nibble and i in its high one, and
// the high bits of groups i, i + 4, i + 8, i + 12 are 1, 1, 2, 2: 0xa5. Scale
// 0xb800 = -0.5.
TEST(WeightFormatTest, DequantizesAQ3_KBlock) {
  std::vector<uint8_t> block(32, 0x0f);
  block.insert(block.end(), 64, 0xe4);
  for (int i = 0; i < 8; ++i) {
    block.push_back(static_cast<uint8_t>((8 + i) | (i << 4)));
  }
  block.insert(block.end(), 4, 0xa5);
  Append({0x00, 0xb8}, &block);
  const std::vector<float> out = Dequantized(TensorType::kQ3_K, block);
  for (int e = 0; e < 256; ++e) {
    const int value = e % 128 / 32 - (e < 128 ? 0 : 4);
    EXPECT_EQ(out[e], -0.5f * (e / 16 - 8) * value) << e;
  }
}

// Scales of the 8 groups: 10, 11, 12, 13, 37, 38, 39, 40; minimums: 20, 21, 22,
// 23, 54, 55, 56, 57. 37 .. 40 have the low bits 5, 6, 7, 8 and the high ones
// 2, which go to the top of the first four bytes; 54 .. 57 have 6, 7, 8, 9 and
// 3.
const std::vector<uint8_t> kSixBitScales = {
    10 | 0x80, 11 | 0x80, 12 | 0x80, 13 | 0x80, 20 | 0xc0, 21 | 0xc0,
    22 | 0xc0, 23 | 0xc0, 0x65,      0x76,      0x87,      0x98};
constexpr int kScales[8] = {10, 11, 12, 13, 37, 38, 39, 40};
constexpr int kMinimums[8] = {20, 21, 22, 23, 54, 55, 56, 57};

// 128 bytes of nibbles: byte b counts b % 16 up and down. Of each 64 elements
// the low nibbles are the first 32.
void AppendSuperNibbles(std::vector<uint8_t>* block) {
  for (int i = 0; i < 8; ++i) AppendNibbles(block);
}
int SuperNibble(int e) { return e / 32 % 2 == 0 ? e % 16 : 15 - e % 16; }

// Scale 0x3800 = 0.5, minimum 0x3000 = 0.125.
TEST(WeightFormatTest, DequantizesAQ4_KBlock) {
  std::vector<uint8_t> block = {0x00, 0x38, 0x00, 0x30};
  Append(kSixBitScales, &block);
  AppendSuperNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kQ4_K, block);
  for (int e = 0; e < 256; ++e) {
    EXPECT_EQ(out[e], 0.5f * kScales[e / 32] * SuperNibble(e) -
                          0.125f * kMinimums[e / 32])
        << e;
  }
}

// Fifth bits: byte l has those of elements l, 32 + l, ...: 0x55 sets the even
// groups for l < 16, 0xaa the odd ones for the rest.
TEST(WeightFormatTest, DequantizesAQ5_KBlock) {
  std::vector<uint8_t> block = {0x00, 0x38, 0x00, 0x30};
  Append(kSixBitScales, &block);
  block.insert(block.end(), 16, 0x55);
  block.insert(block.end(), 16, 0xaa);
  AppendSuperNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kQ5_K, block);
  for (int e = 0; e < 256; ++e) {
    const bool even = e / 32 % 2 == 0;
    const int fifth = even == (e % 32 < 16) ? 16 : 0;
    EXPECT_EQ(out[e], 0.5f * kScales[e / 32] * (SuperNibble(e) + fifth) -
                          0.125f * kMinimums[e / 32])
        << e;
  }
}

// Low bits: of each 128 elements the low nibbles of 64 bytes are the first 64.
// High bits: 0xe4, so j = e % 128 / 32. Scales 8 g - 64. Scale 0x3400 = 0.25.
TEST(WeightFormatTest, DequantizesAQ6_KBlock) {
  std::vector<uint8_t> block;
  AppendSuperNibbles(&block);
  block.insert(block.end(), 64, 0xe4);
  for (int g = 0; g < 16; ++g) {
    block.push_back(static_cast<uint8_t>(8 * g - 64));
  }
  Append({0x00, 0x34}, &block);
  const std::vector<float> out = Dequantized(TensorType::kQ6_K, block);
  for (int e = 0; e < 256; ++e) {
    const int low = e % 128 < 64 ? e % 16 : 15 - e % 16;
    const int value = low + 16 * (e % 128 / 32) - 32;
    EXPECT_EQ(out[e], 0.25f * (8 * (e / 16) - 64) * value) << e;
  }
}

// Scale g of 8 is stored as g + 28 (value g - 4 plus 32): 28 .. 31 = 01 1100 ..
// 01 1111, 32 .. 35 = 10 0000 .. 10 0011. High bits, two each from the low end:
// 1, 1, 1, 1, 2, 2, 2, 2 = 0xaa55. Low ones by twos: 0xdc, 0xfe, 0x10, 0x32.
// Scale 0x3800 = 0.5.
TEST(WeightFormatTest, DequantizesAnIQ4_XSBlock) {
  std::vector<uint8_t> block = {0x00, 0x38, 0x55, 0xaa, 0xdc, 0xfe, 0x10, 0x32};
  AppendSuperNibbles(&block);
  const std::vector<float> out = Dequantized(TensorType::kIQ4_XS, block);
  for (int e = 0; e < 256; ++e) {
    EXPECT_EQ(out[e], 0.5f * (e / 32 - 4) * kTable[Nibble(e % 32)]) << e;
  }
}

// The fp16 numbers of each type: made NaN, every element becomes NaN that they
// scale; nothing else holds one.
TEST(WeightFormatTest, KnowsWhereTheHalvesAre) {
  for (uint32_t number = 0; number < 64; ++number) {
    const std::optional<TensorTypeInfo> info = FindTensorType(number);
    if (!info.has_value() || info->block_elements == 1) continue;
    const auto type = static_cast<TensorType>(number);
    const WeightFormat* format = FindWeightFormat(type);
    if (format == nullptr) continue;
    const std::vector<uint8_t> zeros(info->block_bytes, 0);
    for (int i = 0; i < format->halves; ++i) {
      std::vector<uint8_t> block = zeros;
      block[format->halves_offset + 2 * i + 1] = 0x7e;
      for (float value : Dequantized(type, block)) {
        EXPECT_TRUE(std::isnan(value)) << info->name;
      }
    }
    std::vector<uint8_t> block(info->block_bytes, 0xff);
    std::memset(block.data() + format->halves_offset, 0, 2 * format->halves);
    for (float value : Dequantized(type, block)) {
      EXPECT_EQ(value, 0.0f) << info->name;
    }
  }
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
  for (TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
        TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
        TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kQ2_K,
        TensorType::kQ3_K, TensorType::kQ4_K, TensorType::kQ5_K,
        TensorType::kQ6_K, TensorType::kIQ4_NL, TensorType::kIQ4_XS}) {
    EXPECT_TRUE(IsSupportedWeightType(type));
  }
  EXPECT_FALSE(IsSupportedWeightType(TensorType::kI32));
  EXPECT_FALSE(IsSupportedWeightType(TensorType::kQ8_1));
  EXPECT_FALSE(IsSupportedWeightType(TensorType::kQ8_K));
  EXPECT_EQ(FindWeightFormat(TensorType::kF64), nullptr);
}

TEST(WeightFormatTest, RoundsFloatsToQ8_0) {
  std::vector<float> x = RandomFloats(kGroupInputs, 3);
  WeightBlock group;
  const WeightFormat* format = FindWeightFormat(TensorType::kF32);
  format->pack(reinterpret_cast<const uint8_t*>(x.data()), &group);
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
  WeightBlock group;
  const WeightFormat* format = FindWeightFormat(TensorType::kF32);
  format->pack(reinterpret_cast<const uint8_t*>(x.data()), &group);
  EXPECT_TRUE(std::isnan(HalfToFloat(group.scale)));
  const std::vector<float> zeros(kGroupInputs, 0.0f);
  format->pack(reinterpret_cast<const uint8_t*>(zeros.data()), &group);
  EXPECT_EQ(group.scale, 0);
}

}  // namespace
}  // namespace tandem
