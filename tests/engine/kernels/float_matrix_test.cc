#include "engine/kernels/float_matrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

class FloatMatrixTest : public ::testing::TestWithParam<TensorType> {};

TEST_P(FloatMatrixTest, LosesNothing) {
  ThreadTeam team(2);
  for (int64_t outputs : {1, 31, 32, 33, 70}) {
    for (int64_t inputs : {1, 63, 64, 65, 200}) {
      const TestMatrix matrix(GetParam(), outputs, inputs, 7);
      const FloatMatrix packed = FloatMatrix::Pack(
          GetParam(), matrix.data.data(), outputs, inputs, &team);
      EXPECT_EQ(packed.outputs(), outputs);
      EXPECT_EQ(packed.inputs(), inputs);
      std::vector<float> row(inputs);
      for (int64_t output = 0; output < outputs; ++output) {
        packed.DequantizeRow(output, row.data());
        EXPECT_TRUE(SameBits(row.data(), matrix.values.data() + output * inputs,
                             inputs));
      }
    }
  }
}

// As many as in the file, of whole tiles of 32 outputs.
TEST_P(FloatMatrixTest, TakesTheBytesOfTheFile) {
  ThreadTeam team(1);
  for (const int64_t outputs : {1, 32, 33, 64}) {
    const TestMatrix matrix(GetParam(), outputs, 100, 8);
    const int64_t whole = (outputs + 31) / 32 * 32;
    const FloatMatrix packed =
        FloatMatrix::Pack(GetParam(), matrix.data.data(), outputs, 100, &team);
    EXPECT_EQ(packed.bytes(), WeightBytes(GetParam(), whole * 100));
    EXPECT_EQ(FloatMatrix::PackedBytes(GetParam(), outputs, 100),
              packed.bytes());
    EXPECT_EQ(packed.tiles(), whole / 32);
  }
}

// The definition: one fused multiply-add an input, in ascending order, from 0.
TEST_P(FloatMatrixTest, MultipliesByOneFusedMultiplyAddAnInput) {
  ThreadTeam team(1);
  const int64_t outputs = 41;
  const int64_t inputs = 77;
  const int64_t rows = 11;
  const TestMatrix matrix(GetParam(), outputs, inputs, 9);
  const FloatMatrix packed =
      FloatMatrix::Pack(GetParam(), matrix.data.data(), outputs, inputs, &team);
  const std::vector<float> x = RandomFloats(rows * inputs, 10);
  for (const SimdLevel level : MachineLevels()) {
    std::vector<float> y(rows * outputs, -1.0f);
    packed.MultiplyTiles(
        KernelsFor(level), 0, packed.tiles(),
        {.x = x.data(), .rows = rows, .y = y.data(), .y_stride = outputs});
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t n = 0; n < outputs; ++n) {
        float expected = 0;
        for (int64_t k = 0; k < inputs; ++k) {
          expected = std::fma(matrix.values[n * inputs + k],
                              x[row * inputs + k], expected);
        }
        ASSERT_EQ(y[row * outputs + n], expected)
            << SimdLevelName(level) << ", row " << row << ", output " << n;
      }
    }
  }
}

// A thread's tiles are those of the whole product, and only they are written.
TEST_P(FloatMatrixTest, TilesCanBeCutAnywhere) {
  ThreadTeam team(1);
  const int64_t outputs = 100;
  const int64_t inputs = 40;
  const int64_t rows = 3;
  const TestMatrix matrix(GetParam(), outputs, inputs, 11);
  const FloatMatrix packed =
      FloatMatrix::Pack(GetParam(), matrix.data.data(), outputs, inputs, &team);
  const std::vector<float> x = RandomFloats(rows * inputs, 12);
  for (const SimdLevel level : MachineLevels()) {
    const auto multiply = [&](int64_t begin, int64_t end, float* y) {
      packed.MultiplyTiles(
          KernelsFor(level), begin, end,
          {.x = x.data(), .rows = rows, .y = y, .y_stride = outputs});
    };
    std::vector<float> whole(rows * outputs);
    multiply(0, packed.tiles(), whole.data());
    for (int64_t cut = 0; cut <= packed.tiles(); ++cut) {
      std::vector<float> y(rows * outputs, 77.0f);
      if (cut > 0) multiply(0, cut, y.data());
      const int64_t known = std::min<int64_t>(outputs, cut * kTileOutputs);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t n = known; n < outputs; ++n) {
          ASSERT_EQ(y[row * outputs + n], 77.0f);
        }
      }
      if (cut < packed.tiles()) multiply(cut, packed.tiles(), y.data());
      EXPECT_EQ(y, whole);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    FloatTypes, FloatMatrixTest,
    ::testing::Values(TensorType::kF32, TensorType::kF16, TensorType::kBF16),
    [](const ::testing::TestParamInfo<TensorType>& tested) {
      return std::string(GetTensorTypeInfo(tested.param).name);
    });

// The byte order of README.md, by hand.
TEST(FloatMatrixLayoutTest, HoldsTheRowsOfATileSideBySide) {
  ThreadTeam team(1);
  std::vector<uint8_t> data(2 * 33 * 3, 0);
  const uint16_t one = 0x3c00;
  std::memcpy(data.data() + 2 * (5 * 3 + 2), &one, 2);  // row 5, k = 2
  const FloatMatrix packed =
      FloatMatrix::Pack(TensorType::kF16, data.data(), 33, 3, &team);
  KernelTable spy = KernelsFor(SimdLevel::kScalar);
  static FloatMatmul seen;
  spy.matmul_f16 = [](const FloatMatmul& call) { seen = call; };
  packed.MultiplyTiles(spy, 0, 2, {.rows = 1, .y_stride = 33});
  EXPECT_EQ(seen.outputs, 33);
  const auto* weights = static_cast<const uint16_t*>(seen.tiles);
  for (int64_t i = 0; i < 2 * 3 * 32; ++i) {
    EXPECT_EQ(weights[i], i == 2 * 32 + 5 ? one : 0) << i;
  }
}

}  // namespace
}  // namespace tandem
