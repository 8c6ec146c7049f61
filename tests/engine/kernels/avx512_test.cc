// The AVX-512 kernels against the oracle, twice: as the program has them, where
// the machine can run them, and compiled over emulated/immintrin.h for any
// machine.

#include <gtest/gtest.h>

#include "tests/engine/kernels/level_test_util.h"

namespace tandem {

// engine/kernels/avx512.cc over emulated intrinsics (tests/CMakeLists.txt).
extern const KernelTable kEmulatedAvx512Kernels;

namespace {

enum class Intrinsics { kNative, kEmulated };

class Avx512Test : public ::testing::TestWithParam<Intrinsics> {
 protected:
  void SetUp() override {
    if (GetParam() == Intrinsics::kNative &&
        DetectedSimdLevel() < SimdLevel::kAvx512) {
      GTEST_SKIP() << "no avx512";
    }
  }

  static const KernelTable& Kernels() {
    return GetParam() == Intrinsics::kNative ? kAvx512Kernels
                                             : kEmulatedAvx512Kernels;
  }
};

TEST_P(Avx512Test, QuantizeGroups) { TestQuantizeGroups(Kernels()); }

TEST_P(Avx512Test, QuantizeSuperBlocks) { TestQuantizeSuperBlocks(Kernels()); }

TEST_P(Avx512Test, MatmulOfGroups) {
  TestQuantised(Kernels(), {TensorType::kQ4_0, TensorType::kQ8_0});
}

TEST_P(Avx512Test, MatmulOfGroupsWithMinimums) {
  TestQuantised(Kernels(), {TensorType::kQ4_1, TensorType::kQ5_1});
}

TEST_P(Avx512Test, MatmulOfSuperBlocks) {
  for (TensorType type : kSuperTypes) TestQuantised(Kernels(), {type});
}

TEST_P(Avx512Test, MatmulF16) { TestMatmulFloat(Kernels(), TensorType::kF16); }

TEST_P(Avx512Test, MatmulBf16) {
  TestMatmulFloat(Kernels(), TensorType::kBF16);
}

TEST_P(Avx512Test, MatmulF32) { TestMatmulFloat(Kernels(), TensorType::kF32); }

TEST_P(Avx512Test, RmsNorm) { TestRmsNorm(Kernels()); }

TEST_P(Avx512Test, Rope) { TestRope(Kernels()); }

TEST_P(Avx512Test, Elementwise) { TestElementwise(Kernels()); }

TEST_P(Avx512Test, ExponentialRange) { TestExponentialRange(Kernels()); }

TEST_P(Avx512Test, FloatToBf16) { TestFloatToBf16(Kernels()); }

TEST_P(Avx512Test, Attention) { TestAttention(Kernels()); }

TEST_P(Avx512Test, MergeAndDivide) { TestMergeAndDivide(Kernels()); }

INSTANTIATE_TEST_SUITE_P(
    Intrinsics, Avx512Test,
    ::testing::Values(Intrinsics::kNative, Intrinsics::kEmulated),
    [](const ::testing::TestParamInfo<Intrinsics>& tested) {
      return tested.param == Intrinsics::kNative ? "Native" : "Emulated";
    });

}  // namespace
}  // namespace tandem
