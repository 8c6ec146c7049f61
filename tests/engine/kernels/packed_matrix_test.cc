#include "engine/kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

class PackedMatrixTest : public ::testing::TestWithParam<TensorType> {};

TEST_P(PackedMatrixTest, LosesNothing) {
  ThreadTeam team(2);
  for (int64_t outputs : {1, 15, 16, 17, 31, 32, 33, 50}) {
    const int64_t inputs = 96;
    const TestMatrix matrix(GetParam(), outputs, inputs, 7);
    const PackedMatrix packed = PackedMatrix::Pack(
        GetParam(), matrix.data.data(), outputs, inputs, &team);
    const WeightFormat* format = FindWeightFormat(GetParam());
    const int64_t group_bytes = WeightBytes(GetParam(), kGroupInputs);
    const uint8_t* source = matrix.data.data();
    std::vector<float> row(inputs);
    for (int64_t output = 0; output < outputs; ++output) {
      for (int64_t g = 0; g < inputs / kGroupInputs; ++g) {
        WeightGroup expected;
        format->pack_group(source, &expected);
        source += group_bytes;
        const WeightGroup actual = packed.Group(output, g);
        EXPECT_EQ(actual.scale, expected.scale);
        EXPECT_EQ(actual.minimum, expected.minimum);
        EXPECT_EQ(std::memcmp(actual.codes, expected.codes, kGroupInputs), 0);
      }
      packed.DequantizeRow(output, row.data());
      EXPECT_TRUE(
          SameBits(row.data(), matrix.values.data() + output * inputs, inputs));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(QuantisedTypes, PackedMatrixTest,
                         ::testing::Values(TensorType::kQ4_0, TensorType::kQ4_1,
                                           TensorType::kQ5_0, TensorType::kQ5_1,
                                           TensorType::kQ8_0,
                                           TensorType::kIQ4_NL));

// The byte order of README.md, by hand.
TEST(PackedMatrixLayoutTest, HoldsFourInputsOfARowInOneWord) {
  ThreadTeam team(1);
  std::vector<uint8_t> q8(16 * 34, 0);
  q8[5 * 34 + 2 + 9] = 3;  // row 5, k = 9: word 2, lane 5, byte 1
  const PackedMatrix eight =
      PackedMatrix::Pack(TensorType::kQ8_0, q8.data(), 16, 32, &team);
  EXPECT_EQ(eight.bytes(), 1024 + 64);  // codes and scales of a tile
  EXPECT_EQ(eight.Group(5, 0).codes[9], 3 + kPacked8Zero);
  EXPECT_EQ(eight.Group(5, 0).codes[8], kPacked8Zero);
  EXPECT_EQ(eight.Group(4, 0).codes[9], kPacked8Zero);
  std::vector<uint8_t> q4(33 * 18, 0x88);
  const PackedMatrix four =
      PackedMatrix::Pack(TensorType::kQ4_0, q4.data(), 33, 32, &team);
  EXPECT_EQ(four.tiles(), 2);
  EXPECT_EQ(four.bytes(), 2 * (512 + 64));
}

// One output by hand: dot is an integer, the rest two roundings.
TEST(PackedMatrixMultiplyTest, IsOneFusedMultiplyAddAGroup) {
  ThreadTeam team(1);
  const int64_t inputs = 64;
  const TestMatrix matrix(TensorType::kQ8_0, 1, inputs, 21);
  const PackedMatrix packed = PackedMatrix::Pack(
      TensorType::kQ8_0, matrix.data.data(), 1, inputs, &team);
  const std::vector<float> x = RandomFloats(inputs, 22);
  std::vector<ActivationGroup> groups(2);
  const KernelTable& kernels = KernelsFor(SimdLevel::kScalar);
  kernels.quantize_row(x.data(), 2, 0, groups.data());
  float expected = 0;
  for (int g = 0; g < 2; ++g) {
    const WeightGroup weights = packed.Group(0, g);
    int dot = 0;
    for (int k = 0; k < kGroupInputs; ++k) {
      dot += (weights.codes[k] - kPacked8Zero) * groups[g].values[0][k];
    }
    const float scale = HalfToFloat(weights.scale) * groups[g].scales[0];
    expected = std::fma(static_cast<float>(dot), scale, expected);
  }
  for (SimdLevel level : MachineLevels()) {
    float y = 0;
    packed.MultiplyTiles(
        KernelsFor(level), 0, 1,
        {.input = groups.data(), .rows = 1, .y = &y, .y_stride = 1});
    EXPECT_EQ(y, expected);
  }
}

}  // namespace
}  // namespace tandem
