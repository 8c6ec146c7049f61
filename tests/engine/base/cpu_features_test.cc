#include "engine/base/cpu_features.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace tandem {
namespace {

class CpuFeaturesTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("TANDEM_SIMD"); }
};

TEST_F(CpuFeaturesTest, WithoutTheVariableItIsWhatTheMachineHas) {
  unsetenv("TANDEM_SIMD");
  EXPECT_EQ(*EffectiveSimdLevel(), DetectedSimdLevel());
}

TEST_F(CpuFeaturesTest, TheVariableLowersTheLevel) {
  setenv("TANDEM_SIMD", "scalar", 1);
  EXPECT_EQ(*EffectiveSimdLevel(), SimdLevel::kScalar);
}

TEST_F(CpuFeaturesTest, AnotherValueIsAnErrorThatNamesIt) {
  setenv("TANDEM_SIMD", "sse9", 1);
  const absl::Status status = EffectiveSimdLevel().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("sse9"), absl::string_view::npos);
}

TEST_F(CpuFeaturesTest, ALevelAboveTheMachinesIsAnError) {
  if (DetectedSimdLevel() == SimdLevel::kAvx512) {
    setenv("TANDEM_SIMD", "avx512", 1);
    EXPECT_TRUE(EffectiveSimdLevel().ok());
  } else {
    setenv("TANDEM_SIMD", "avx512", 1);
    EXPECT_FALSE(EffectiveSimdLevel().ok());
  }
}

}  // namespace
}  // namespace tandem
