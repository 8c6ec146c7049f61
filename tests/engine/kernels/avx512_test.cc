#include <gtest/gtest.h>

#include "tests/engine/kernels/level_test_util.h"

namespace tandem {
namespace {

class Avx512Test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (DetectedSimdLevel() < SimdLevel::kAvx512) GTEST_SKIP() << "no avx512";
  }
};

TEST_F(Avx512Test, QuantizeRow) { TestQuantizeRow(kAvx512Kernels); }

TEST_F(Avx512Test, MatmulQ4_0) {
  TestMatmulPacked(kAvx512Kernels, TensorType::kQ4_0);
  TestMatmulExtremes(kAvx512Kernels, TensorType::kQ4_0);
}

TEST_F(Avx512Test, MatmulQ8_0) {
  TestMatmulPacked(kAvx512Kernels, TensorType::kQ8_0);
  TestMatmulExtremes(kAvx512Kernels, TensorType::kQ8_0);
}

TEST_F(Avx512Test, RmsNorm) { TestRmsNorm(kAvx512Kernels); }

TEST_F(Avx512Test, Rope) { TestRope(kAvx512Kernels); }

TEST_F(Avx512Test, Elementwise) { TestElementwise(kAvx512Kernels); }

TEST_F(Avx512Test, ExponentialRange) { TestExponentialRange(kAvx512Kernels); }

TEST_F(Avx512Test, FloatToBf16) { TestFloatToBf16(kAvx512Kernels); }

TEST_F(Avx512Test, Attention) { TestAttention(kAvx512Kernels); }

TEST_F(Avx512Test, MergeAndDivide) { TestMergeAndDivide(kAvx512Kernels); }

}  // namespace
}  // namespace tandem
