#include <gtest/gtest.h>

#include "tests/engine/kernels/super_test_util.h"

namespace tandem {
namespace {

TEST(Avx2SuperTest, EqualsTheOracle) {
  if (DetectedSimdLevel() < SimdLevel::kAvx2) GTEST_SKIP() << "no avx2";
  TestSuperKernels(kAvx2Kernels);
}

}  // namespace
}  // namespace tandem
