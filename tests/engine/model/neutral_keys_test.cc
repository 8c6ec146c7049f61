#include "engine/model/neutral_keys.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

template <typename Value>
GgufEntry Entry(const Value& value) {
  GgufEntry entry;
  entry.value = value;
  return entry;
}

TEST(NeutralKeysTest, ComparesNumbersOfAnyType) {
  EXPECT_TRUE(IsNeutral("expert_count", Entry(uint64_t{0})));
  EXPECT_TRUE(IsNeutral("expert_count", Entry(int64_t{0})));
  EXPECT_TRUE(IsNeutral("attention.clamp_kqv", Entry(0.0)));
  EXPECT_FALSE(IsNeutral("attention.clamp_kqv", Entry(8.0)));
  EXPECT_FALSE(IsNeutral("expert_count", Entry(int64_t{-1})));
  EXPECT_FALSE(IsNeutral("expert_count", Entry(false)));
  EXPECT_FALSE(IsNeutral("expert_count", Entry(absl::string_view("0"))));
  EXPECT_FALSE(IsNeutral("expert_count", Entry(GgufArray())));
}

TEST(NeutralKeysTest, ComparesFlags) {
  EXPECT_TRUE(IsNeutral("attention.causal", Entry(true)));
  EXPECT_FALSE(IsNeutral("attention.causal", Entry(false)));
  EXPECT_FALSE(IsNeutral("attention.causal", Entry(uint64_t{1})));
  EXPECT_TRUE(IsNeutral("use_parallel_residual", Entry(false)));
}

TEST(NeutralKeysTest, SomeKeysSayNothingByAnyValue) {
  EXPECT_TRUE(IsNeutral("rope.scaling.finetuned", Entry(true)));
  EXPECT_TRUE(IsNeutral("rope.scaling.finetuned", Entry(false)));
  EXPECT_TRUE(IsNeutral("expert_used_count", Entry(uint64_t{2})));
  EXPECT_FALSE(IsNeutral("expert_shared_count", Entry(uint64_t{2})));
  EXPECT_FALSE(IsNeutral("something_new", Entry(uint64_t{0})));
  EXPECT_FALSE(IsNeutral("", Entry(uint64_t{0})));
}

TEST(NeutralKeysTest, DescribesValues) {
  EXPECT_EQ(DescribeValue(Entry(uint64_t{8})), "8");
  EXPECT_EQ(DescribeValue(Entry(int64_t{-8})), "-8");
  EXPECT_EQ(DescribeValue(Entry(0.5)), "0.5");
  EXPECT_EQ(DescribeValue(Entry(true)), "true");
  EXPECT_EQ(DescribeValue(Entry(absl::string_view("yarn\n"))), "'yarn\\n'");
  EXPECT_EQ(DescribeValue(Entry(GgufArray())), "an array of 0 elements");
}

}  // namespace
}  // namespace tandem
