#include "engine/kernels/numerics_mode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(NumericsModeTest, NamesParseBack) {
  for (NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kInt8Float,
                            NumericsMode::kBf16, NumericsMode::kF32}) {
    EXPECT_EQ(ParseNumericsMode(NumericsModeName(mode)), mode);
  }
  EXPECT_EQ(NumericsModeName(NumericsMode::kInt8Float), "int8+float");
  EXPECT_EQ(NumericsModeName(NumericsMode::kBf16), "bf16");
  EXPECT_EQ(ParseNumericsMode("fp16"), std::nullopt);
  EXPECT_EQ(ParseNumericsMode(""), std::nullopt);
}

TEST(NumericsModeTest, NamesOfAllModesInTheirOrder) {
  EXPECT_THAT(NumericsModeNames(),
              ::testing::ElementsAre("int8", "int8+float", "bf16", "f32"));
}

TEST(NumericsModeTest, KvTypeNamesParseBack) {
  for (KvType type : {KvType::kBf16, KvType::kF32}) {
    EXPECT_EQ(ParseKvType(KvTypeName(type)), type);
  }
  EXPECT_EQ(ParseKvType("BF16"), std::nullopt);
}

}  // namespace
}  // namespace tandem
