#include "engine/kernels/super_matrix.h"

#include <gtest/gtest.h>

#include "tests/engine/kernels/super_test_util.h"

namespace tandem {
namespace {

TEST(SuperMatrixTest, LosesNothing) {
  ThreadTeam team(2);
  for (TensorType type : kSuperTypes) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    for (int64_t outputs : {1, 31, 32, 33, 50}) {
      const int64_t inputs = 3 * kSuperInputs;
      const TestMatrix matrix(type, outputs, inputs, 7);
      const SuperMatrix packed =
          SuperMatrix::Pack(type, matrix.data.data(), outputs, inputs, &team);
      const WeightFormat* format = FindWeightFormat(type);
      const uint8_t* source = matrix.data.data();
      std::vector<float> row(inputs);
      for (int64_t output = 0; output < outputs; ++output) {
        for (int64_t b = 0; b < inputs / kSuperInputs; ++b) {
          WeightSuperBlock expected;
          format->pack_super(source, &expected);
          source += WeightBytes(type, kSuperInputs);
          const WeightSuperBlock actual = packed.Block(output, b);
          EXPECT_EQ(std::memcmp(&actual, &expected, sizeof(actual)), 0);
        }
        packed.DequantizeRow(output, row.data());
        EXPECT_TRUE(SameBits(row.data(), matrix.values.data() + output * inputs,
                             inputs));
      }
    }
  }
}

// The byte order of README.md, by hand. Q6_K: codes of 210 bytes are 32 but for
// one; row 5, k = 9 (word 2, lane 5, byte 1) and group 0.
TEST(SuperMatrixTest, HoldsFourInputsOfARowInOneWord) {
  ThreadTeam team(1);
  std::vector<uint8_t> q6(6 * 210, 0);
  for (int row = 0; row < 6; ++row) {
    for (int i = 128; i < 192; ++i) q6[row * 210 + i] = 0xaa;  // high bits 2
  }
  q6[5 * 210 + 9] = 7;
  q6[5 * 210 + 192 + 3] = 0x85;  // the scale of group 3
  const SuperMatrix six =
      SuperMatrix::Pack(TensorType::kQ6_K, q6.data(), 6, 256, &team);
  EXPECT_EQ(six.bytes(), 128 + 512 + 8192);
  EXPECT_EQ(six.Block(5, 0).codes[9], 39);
  EXPECT_EQ(six.Block(5, 0).codes[8], 32);
  EXPECT_EQ(six.Block(4, 0).codes[9], 32);
  EXPECT_EQ(six.Block(5, 0).scales[3], static_cast<int8_t>(0x85));
  EXPECT_EQ(six.Block(5, 0).scales[2], 0);
  EXPECT_EQ(SuperMatrix::PackedBytes(TensorType::kQ4_K, 33, 512),
            2 * 2 * (128 + 256 + 256 + 4096));
  EXPECT_EQ(SuperMatrix::PackedBytes(TensorType::kIQ4_XS, 32, 256),
            128 + 256 + 4096);
  EXPECT_EQ(SuperMatrix::PackedBytes(TensorType::kQ5_K, 32, 256),
            128 + 512 + 512 + 8192);
}

// Tiles of any part of the outputs give their part of y.
TEST(SuperMatrixTest, MultipliesAnyTiles) {
  ThreadTeam team(1);
  const int64_t outputs = 70;
  const TestMatrix matrix(TensorType::kQ4_K, outputs, kSuperInputs, 8);
  const SuperMatrix packed = SuperMatrix::Pack(
      TensorType::kQ4_K, matrix.data.data(), outputs, kSuperInputs, &team);
  const std::vector<float> x = RandomFloats(2 * kSuperInputs, 9);
  const std::vector<float> whole = SuperProduct(kScalarKernels, packed, x, 2);
  std::vector<ActivationSuperBlock> input(1);
  for (int row = 0; row < 2; ++row) {
    kScalarSuperKernels.quantize_row(x.data() + row * kSuperInputs, 1, row,
                                     input.data());
  }
  std::vector<float> y(2 * outputs, -1.0f);
  for (int64_t tile : {2, 0, 1}) {
    packed.MultiplyTiles(
        kScalarKernels, tile, tile + 1,
        {.input = input.data(), .rows = 2, .y = y.data(), .y_stride = outputs});
  }
  EXPECT_TRUE(SameFloats(y, whole));
}

}  // namespace
}  // namespace tandem
