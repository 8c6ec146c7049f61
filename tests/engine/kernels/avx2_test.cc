#include <gtest/gtest.h>

#include "tests/engine/kernels/level_test_util.h"

namespace tandem {
namespace {

class Avx2Test : public ::testing::Test {
 protected:
  void SetUp() override {
    if (DetectedSimdLevel() < SimdLevel::kAvx2) GTEST_SKIP() << "no avx2";
  }
};

TEST_F(Avx2Test, QuantizeGroups) { TestQuantizeGroups(kAvx2Kernels); }

TEST_F(Avx2Test, QuantizeSuperBlocks) { TestQuantizeSuperBlocks(kAvx2Kernels); }

TEST_F(Avx2Test, MatmulOfGroups) {
  TestQuantised(kAvx2Kernels, {TensorType::kQ4_0, TensorType::kQ8_0});
}

TEST_F(Avx2Test, MatmulOfGroupsWithMinimums) {
  TestQuantised(kAvx2Kernels, {TensorType::kQ4_1, TensorType::kQ5_1});
}

TEST_F(Avx2Test, MatmulOfSuperBlocks) {
  for (TensorType type : kSuperTypes) TestQuantised(kAvx2Kernels, {type});
}

TEST_F(Avx2Test, MatmulF16) { TestMatmulFloat(kAvx2Kernels, TensorType::kF16); }

TEST_F(Avx2Test, MatmulBf16) {
  TestMatmulFloat(kAvx2Kernels, TensorType::kBF16);
}

TEST_F(Avx2Test, MatmulF32) { TestMatmulFloat(kAvx2Kernels, TensorType::kF32); }

TEST_F(Avx2Test, RmsNorm) { TestRmsNorm(kAvx2Kernels); }

TEST_F(Avx2Test, Rope) { TestRope(kAvx2Kernels); }

TEST_F(Avx2Test, Elementwise) { TestElementwise(kAvx2Kernels); }

TEST_F(Avx2Test, ExponentialRange) { TestExponentialRange(kAvx2Kernels); }

TEST_F(Avx2Test, FloatToBf16) { TestFloatToBf16(kAvx2Kernels); }

TEST_F(Avx2Test, Attention) { TestAttention(kAvx2Kernels); }

TEST_F(Avx2Test, MergeAndDivide) { TestMergeAndDivide(kAvx2Kernels); }

}  // namespace
}  // namespace tandem
