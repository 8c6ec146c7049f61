#include "engine/kernels/packed_matrix.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/kernels/level_test_util.h"

namespace tandem {
namespace {

class PackedMatrixTest : public ::testing::TestWithParam<TensorType> {
 protected:
  // Quantised types have one form, and floats are packed as the file has them.
  PackedMatrix PackExact(const LinearSource& source) {
    return PackedMatrix::Pack(source, FindWeightFormat(GetParam())->exact_form,
                              &team_);
  }
  int64_t block_inputs() const {
    return kBlockLayouts[static_cast<int>(
                             FindWeightFormat(GetParam())->exact_form)]
        .inputs;
  }

  ThreadTeam team_{2};
};

TEST_P(PackedMatrixTest, LosesNothing) {
  const int64_t step = block_inputs() == 1 ? 21 : block_inputs();
  for (int64_t outputs : {1, 15, 16, 17, 31, 32, 33, 70}) {
    for (int64_t inputs : {step, 3 * step}) {
      const TestMatrix matrix(GetParam(), outputs, inputs, 7);
      const PackedMatrix packed = PackExact(matrix.source);
      EXPECT_EQ(packed.outputs(), outputs);
      EXPECT_EQ(packed.inputs(), inputs);
      EXPECT_EQ(packed.tiles(), (outputs + 31) / 32);
      EXPECT_EQ(packed.bytes(),
                PackedMatrix::PackedBytes(packed.form(), outputs, inputs));
      std::vector<float> row(inputs);
      for (int64_t output = 0; output < outputs; ++output) {
        packed.DequantizeRow(output, row.data());
        EXPECT_TRUE(SameBits(row.data(), matrix.values.data() + output * inputs,
                             inputs));
      }
    }
  }
}

// A block is what the type's pack function made of the file's block.
TEST_P(PackedMatrixTest, BlocksAreThoseOfTheFormat) {
  const int64_t block_inputs = this->block_inputs();
  if (block_inputs == 1) return;
  const WeightFormat* format = FindWeightFormat(GetParam());
  const int64_t inputs = 3 * block_inputs;
  const TestMatrix matrix(GetParam(), 33, inputs, 7);
  const PackedMatrix packed = PackExact(matrix.source);
  const uint8_t* source = matrix.data.data();
  for (int64_t output = 0; output < 33; ++output) {
    for (int64_t b = 0; b < 3; ++b) {
      WeightBlock expected = {};
      format->pack(source, &expected);
      source += WeightBytes(GetParam(), block_inputs);
      const WeightBlock actual = packed.Block(output, b);
      EXPECT_EQ(std::memcmp(&actual, &expected, sizeof(actual)), 0);
    }
  }
}

// A thread's tiles are those of the whole product, and only they are written.
TEST_P(PackedMatrixTest, TilesCanBeCutAnywhere) {
  const int64_t outputs = 100;
  const int64_t inputs = block_inputs() == 1 ? 40 : 2 * block_inputs();
  const int64_t rows = 3;
  const TestMatrix matrix(GetParam(), outputs, inputs, 11);
  const PackedMatrix packed = PackExact(matrix.source);
  const std::vector<float> x = RandomFloats(rows * inputs, 12);
  for (const SimdLevel level : MachineLevels()) {
    const auto multiply = [&](int64_t begin, int64_t end, float* y) {
      MultiplyPacked(KernelsFor(level), packed, x,
                     {.rows = rows, .y = y, .y_stride = outputs}, begin, end);
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
    Types, PackedMatrixTest,
    ::testing::Values(TensorType::kQ4_0, TensorType::kQ4_1, TensorType::kQ5_0,
                      TensorType::kQ5_1, TensorType::kQ8_0, TensorType::kIQ4_NL,
                      TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
                      TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_XS,
                      TensorType::kF16, TensorType::kBF16, TensorType::kF32),
    [](const ::testing::TestParamInfo<TensorType>& tested) {
      return std::string(GetTensorTypeInfo(tested.param).name);
    });

LinearSource SourceOf(TensorType type, const std::vector<uint8_t>& data,
                      int64_t outputs, int64_t inputs) {
  return {.name = "",
          .type = type,
          .data = data,
          .outputs = outputs,
          .inputs = inputs};
}

// The byte order of README.md, by hand.
TEST(PackedMatrixLayoutTest, HoldsFourInputsOfARowInOneWord) {
  ThreadTeam team(1);
  std::vector<uint8_t> q8(16 * 34, 0);
  q8[5 * 34 + 2 + 9] = 3;  // row 5, k = 9: word 2, lane 5, byte 1
  const PackedMatrix eight =
      Packed(SourceOf(TensorType::kQ8_0, q8, 16, 32), &team);
  EXPECT_EQ(eight.bytes(), 1024 + 64);  // codes and scales of a tile
  EXPECT_EQ(eight.Block(5, 0).codes[9], 3 + kPacked8Zero);
  EXPECT_EQ(eight.Block(5, 0).codes[8], kPacked8Zero);
  EXPECT_EQ(eight.Block(4, 0).codes[9], kPacked8Zero);
  const std::vector<uint8_t> q4(33 * 18, 0x88);
  const PackedMatrix four =
      Packed(SourceOf(TensorType::kQ4_0, q4, 33, 32), &team);
  EXPECT_EQ(four.tiles(), 2);
  EXPECT_EQ(four.bytes(), 2 * (512 + 64));
}

// The bytes that a kernel is given, by hand.
TEST(PackedMatrixLayoutTest, HoldsCodesAndIntegersAtTheStatedBytes) {
  ThreadTeam team(1);
  static MatmulCall seen;
  KernelTable spy = kScalarKernels;
  for (auto& matmul : spy.matmul) {
    matmul = [](const MatmulCall& call) { seen = call; };
  }
  std::vector<uint8_t> q4(32 * 18, 0);
  q4[5 * 18 + 2 + 9] = 0x70;  // row 5, k = 25: word 6, byte 1
  const PackedMatrix four =
      Packed(SourceOf(TensorType::kQ4_0, q4, 32, 32), &team);
  four.MultiplyTiles(spy, 0, 1, {});
  for (int at = 0; at < 512; ++at) {
    // k = 25 is in pair 3 of words, the low nibble since 25 % 8 < 4.
    EXPECT_EQ(seen.tiles[at], at == 128 * 3 + 4 * 5 + 1 ? 7 : 0) << at;
  }
  // Q6_K: codes of 210 bytes are 0 but for one; row 5, k = 9 and the scale of
  // group 3.
  std::vector<uint8_t> q6(6 * 210, 0);
  q6[5 * 210 + 9] = 7;
  q6[5 * 210 + 192 + 3] = 0x85;
  const PackedMatrix six =
      Packed(SourceOf(TensorType::kQ6_K, q6, 6, 256), &team);
  EXPECT_EQ(six.bytes(), 128 + 512 + 8192);
  six.MultiplyTiles(spy, 0, 1, {});
  for (int at = 0; at < six.bytes(); ++at) {
    const int code = 128 + 512 + 128 * 2 + 4 * 5 + 1;
    const int scale = 128 + 64 * 1 + 2 * 5 + 1;
    EXPECT_EQ(seen.tiles[at], at == code ? 7 : at == scale ? 0x85 : 0) << at;
  }
}

TEST(PackedMatrixLayoutTest, HoldsTheFloatsOfATileSideBySide) {
  ThreadTeam team(1);
  std::vector<uint8_t> data(2 * 33 * 3, 0);
  const uint16_t one = 0x3c00;
  std::memcpy(data.data() + 2 * (5 * 3 + 2), &one, 2);  // row 5, k = 2
  const PackedMatrix packed = PackedMatrix::Pack(
      SourceOf(TensorType::kF16, data, 33, 3), PackedForm::kF16, &team);
  KernelTable spy = kScalarKernels;
  static MatmulCall seen;
  spy.matmul[static_cast<int>(PackedForm::kF16)] = [](const MatmulCall& call) {
    seen = call;
  };
  packed.MultiplyTiles(spy, 0, 2, {.rows = 1, .y_stride = 33});
  EXPECT_EQ(seen.outputs, 33);
  for (int64_t i = 0; i < 2 * 3 * 32; ++i) {
    uint16_t weight;
    std::memcpy(&weight, seen.tiles + 2 * i, 2);
    EXPECT_EQ(weight, i == 2 * 32 + 5 ? one : 0) << i;
  }
}

// One output by hand: dot is an integer, the rest two roundings.
TEST(PackedMatrixMultiplyTest, IsOneFusedMultiplyAddAGroup) {
  ThreadTeam team(1);
  const int64_t inputs = 64;
  const TestMatrix matrix(TensorType::kQ8_0, 1, inputs, 21);
  const PackedMatrix packed = Packed(matrix.source, &team);
  const std::vector<float> x = RandomFloats(inputs, 22);
  std::vector<ActivationGroup> groups(2);
  kScalarKernels.quantize_groups(x.data(), 2, 0, groups.data());
  float expected = 0;
  for (int g = 0; g < 2; ++g) {
    const WeightBlock weights = packed.Block(0, g);
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

// The definition of float forms: one fused multiply-add an input, in ascending
// order, from 0.
TEST(PackedMatrixMultiplyTest, IsOneFusedMultiplyAddAFloat) {
  ThreadTeam team(1);
  const int64_t outputs = 41;
  const int64_t inputs = 77;
  const int64_t rows = 11;
  const std::vector<float> x = RandomFloats(rows * inputs, 10);
  for (TensorType type :
       {TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    const TestMatrix matrix(type, outputs, inputs, 9);
    const PackedMatrix packed = PackedMatrix::Pack(
        matrix.source, FindWeightFormat(type)->exact_form, &team);
    for (const SimdLevel level : MachineLevels()) {
      std::vector<float> y(rows * outputs, -1.0f);
      MultiplyPacked(KernelsFor(level), packed, x,
                     {.rows = rows, .y = y.data(), .y_stride = outputs}, 0,
                     packed.tiles());
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
}

}  // namespace
}  // namespace tandem
