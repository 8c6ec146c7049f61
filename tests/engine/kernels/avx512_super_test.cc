#include <gtest/gtest.h>

#include "tests/engine/kernels/super_test_util.h"

namespace tandem {

// See avx512_test.cc.
extern const KernelTable kEmulatedAvx512Kernels;

namespace {

TEST(Avx512SuperTest, EqualsTheOracle) {
  if (DetectedSimdLevel() < SimdLevel::kAvx512) GTEST_SKIP() << "no avx512";
  TestSuperKernels(kAvx512Kernels);
}

TEST(Avx512SuperTest, EmulatedEqualsTheOracle) {
  TestSuperKernels(kEmulatedAvx512Kernels);
}

}  // namespace
}  // namespace tandem
