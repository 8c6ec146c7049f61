#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

TEST(KernelsTest, EveryLevelHasEveryFunction) {
  for (SimdLevel level :
       {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    const KernelTable& kernels = KernelsFor(level);
    EXPECT_NE(kernels.quantize_row, nullptr);
    EXPECT_NE(kernels.matmul_packed4, nullptr);
    EXPECT_NE(kernels.matmul_packed8, nullptr);
    EXPECT_NE(kernels.rms_norm, nullptr);
    EXPECT_NE(kernels.rope_interleaved, nullptr);
    EXPECT_NE(kernels.silu_multiply, nullptr);
    EXPECT_NE(kernels.add_in_place, nullptr);
    EXPECT_NE(kernels.float_to_bf16, nullptr);
    EXPECT_NE(kernels.attend_block_bf16, nullptr);
    EXPECT_NE(kernels.attend_block_f32, nullptr);
    EXPECT_NE(kernels.merge_values, nullptr);
    EXPECT_NE(kernels.divide, nullptr);
  }
}

TEST(KernelsTest, TheScalarLevelIsTheOracle) {
  EXPECT_EQ(&KernelsFor(SimdLevel::kScalar), &kScalarKernels);
}

}  // namespace
}  // namespace tandem
