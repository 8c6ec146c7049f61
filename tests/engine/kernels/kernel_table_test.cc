#include "engine/kernels/kernel_table.h"

#include <gtest/gtest.h>

#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

TEST(KernelTableTest, EveryLevelHasEveryFunction) {
  for (SimdLevel level :
       {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    const KernelTable& kernels = KernelsFor(level);
    EXPECT_NE(kernels.quantize_groups, nullptr);
    EXPECT_NE(kernels.quantize_super_blocks, nullptr);
    for (const auto matmul : kernels.matmul) EXPECT_NE(matmul, nullptr);
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

TEST(KernelTableTest, TheScalarLevelIsTheOracle) {
  EXPECT_EQ(&KernelsFor(SimdLevel::kScalar), &kScalarKernels);
}

// The sizes of README.md.
TEST(KernelTableTest, BlocksHaveTheStatedBytes) {
  constexpr int kBytes[kPackedForms] = {512 + 64,
                                        1024 + 64,
                                        1024 + 128,
                                        128 + 512 + 4096,
                                        128 + 256 + 4096,
                                        128 + 1024 + 8192,
                                        128 + 512 + 8192,
                                        64,
                                        64,
                                        128};
  for (int form = 0; form < kPackedForms; ++form) {
    EXPECT_EQ(kBlockLayouts[form].bytes, kBytes[form]) << form;
  }
}

}  // namespace
}  // namespace tandem
