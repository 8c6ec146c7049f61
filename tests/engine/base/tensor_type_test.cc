#include "engine/base/tensor_type.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(TensorTypeTest, KnowsBlocksOfTheFormat) {
  EXPECT_EQ(GetTensorTypeInfo(TensorType::kQ8_0).name, "Q8_0");
  EXPECT_EQ(GetTensorTypeInfo(TensorType::kQ8_0).block_elements, 32u);
  EXPECT_EQ(GetTensorTypeInfo(TensorType::kQ8_0).block_bytes, 34u);
  EXPECT_EQ(GetTensorTypeInfo(TensorType::kQ4_K).block_bytes, 144u);
}

// 4 and 5 were Q4_2 and Q4_3, removed from the format.
TEST(TensorTypeTest, RemovedAndUnknownNumbersAreNothing) {
  for (const uint32_t number : {4u, 5u, 31u, 1000u, 0xffffffffu}) {
    EXPECT_FALSE(FindTensorType(number).has_value()) << number;
  }
}

}  // namespace
}  // namespace tandem
