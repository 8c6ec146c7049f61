// Compares the kernels over super-blocks of a SIMD level with the oracle, bit
// for bit (for NaN: both are one).

#ifndef TANDEM_TESTS_ENGINE_KERNELS_SUPER_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_KERNELS_SUPER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/kernels/super_kernels.h"
#include "engine/kernels/super_matrix.h"
#include "tests/engine/kernels/level_test_util.h"

namespace tandem {

// The types that take super-blocks.
inline constexpr TensorType kSuperTypes[] = {
    TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
    TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_XS};

inline void TestQuantizeSuperRow(const SuperKernels& kernels) {
  const int64_t blocks = 150;
  std::vector<float> inputs[] = {RandomFloats(blocks * kSuperInputs, 1),
                                 AnyFloats(blocks * kSuperInputs, 2),
                                 RandomFloats(blocks * kSuperInputs, 3)};
  for (int64_t b = 0; b < blocks; ++b) {
    // Sizes from the smallest subnormal to the largest float.
    const int exponent = static_cast<int>(b * 276 / blocks) - 149;
    for (int i = 0; i < kSuperInputs; ++i) {
      float& x = inputs[2][b * kSuperInputs + i];
      x = std::ldexp(i % 3 == 0 ? std::round(x * 64) / 64 : x, exponent);
    }
  }
  for (const std::vector<float>& x : inputs) {
    for (int row = 0; row < kRowBlock; ++row) {
      std::vector<ActivationSuperBlock> expected(blocks);
      std::vector<ActivationSuperBlock> actual(blocks);
      const size_t bytes = blocks * sizeof(ActivationSuperBlock);
      std::memset(static_cast<void*>(expected.data()), 0, bytes);
      std::memset(static_cast<void*>(actual.data()), 0, bytes);
      kScalarSuperKernels.quantize_row(x.data(), blocks, row, expected.data());
      kernels.quantize_row(x.data(), blocks, row, actual.data());
      for (int64_t b = 0; b < blocks; ++b) {
        const ActivationSuperBlock& a = actual[b];
        const ActivationSuperBlock& e = expected[b];
        ASSERT_EQ(std::memcmp(a.values, e.values, sizeof(a.values)), 0);
        ASSERT_EQ(std::memcmp(a.sums16, e.sums16, sizeof(a.sums16)), 0);
        ASSERT_EQ(std::memcmp(a.sums32, e.sums32, sizeof(a.sums32)), 0);
        ASSERT_EQ(std::memcmp(a.starts32, e.starts32, sizeof(a.starts32)), 0);
        ASSERT_TRUE(SameFloats({a.scales[row]}, {e.scales[row]}));
      }
    }
  }
}

// y of one matrix at one level; x is quantised by the oracle.
inline std::vector<float> SuperProduct(const KernelTable& kernels,
                                       const SuperMatrix& matrix,
                                       const std::vector<float>& x,
                                       int64_t rows) {
  const int64_t blocks = matrix.inputs() / kSuperInputs;
  std::vector<ActivationSuperBlock> input((rows + kRowBlock - 1) / kRowBlock *
                                          blocks);
  for (int64_t row = 0; row < rows; ++row) {
    kScalarSuperKernels.quantize_row(x.data() + row * matrix.inputs(), blocks,
                                     static_cast<int>(row % kRowBlock),
                                     input.data() + row / kRowBlock * blocks);
  }
  std::vector<float> y(rows * matrix.outputs(), -1.0f);
  matrix.MultiplyTiles(kernels, 0, matrix.tiles(),
                       {.input = input.data(),
                        .rows = rows,
                        .y = y.data(),
                        .y_stride = matrix.outputs()});
  return y;
}

inline void TestMatmulSuper(const KernelTable& kernels, TensorType type) {
  ThreadTeam team(1);
  std::mt19937 engine(17);
  for (int64_t rows = 1; rows <= 64; ++rows) {
    const int64_t outputs = 1 + engine() % 70;
    const int64_t inputs = kSuperInputs * (1 + engine() % 3);
    const TestMatrix matrix(type, outputs, inputs, engine());
    const SuperMatrix packed =
        SuperMatrix::Pack(type, matrix.data.data(), outputs, inputs, &team);
    for (const std::vector<float>& x : {RandomFloats(rows * inputs, engine()),
                                        MixedFloats(rows * inputs, engine())}) {
      ASSERT_TRUE(SameFloats(SuperProduct(kernels, packed, x, rows),
                             SuperProduct(kScalarKernels, packed, x, rows)))
          << rows << " rows, [" << outputs << ", " << inputs << "]";
    }
  }
}

// Every code and every scale at one end of its range and every activation at
// +-127: where a saturating multiply-add or an overflow would show.
inline void TestSuperExtremes(const KernelTable& kernels, TensorType type) {
  ThreadTeam team(1);
  const int64_t inputs = 2 * kSuperInputs;
  const int64_t outputs = 40;
  for (uint8_t byte : {0x00, 0xff, 0x80, 0x7f, 0x88, 0xf0, 0x0f}) {
    std::vector<uint8_t> data = RandomWeights(type, outputs * inputs, 3);
    FillCodes(type, byte, &data);
    const SuperMatrix packed =
        SuperMatrix::Pack(type, data.data(), outputs, inputs, &team);
    for (float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(8 * inputs, sign * 3.0f);
      ASSERT_TRUE(SameFloats(SuperProduct(kernels, packed, x, 8),
                             SuperProduct(kScalarKernels, packed, x, 8)))
          << "bytes " << static_cast<int>(byte);
    }
  }
}

// All that a level has of super-blocks.
inline void TestSuperKernels(const KernelTable& kernels) {
  TestQuantizeSuperRow(*kernels.super);
  for (TensorType type : kSuperTypes) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    TestMatmulSuper(kernels, type);
    TestSuperExtremes(kernels, type);
  }
  for (TensorType type : {TensorType::kQ4_1, TensorType::kQ5_1}) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    TestMatmulPacked(kernels, type);
    TestMatmulExtremes(kernels, type);
  }
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_KERNELS_SUPER_TEST_UTIL_H_
