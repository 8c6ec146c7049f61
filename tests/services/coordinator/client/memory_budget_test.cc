#include "services/coordinator/client/memory_budget.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

class MemoryBudgetTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  MemoryBudget budget_{1000, &clock_};
};

TEST_F(MemoryBudgetTest, CountsByKindAndTenant) {
  EXPECT_TRUE(budget_.Take(MemoryKind::kSessions, "a", 300));
  EXPECT_TRUE(budget_.Take(MemoryKind::kTexts, "a", 200));
  EXPECT_TRUE(budget_.Take(MemoryKind::kTexts, "b", 100));
  EXPECT_EQ(budget_.bytes(MemoryKind::kSessions), 300);
  EXPECT_EQ(budget_.bytes(MemoryKind::kTexts), 300);
  EXPECT_EQ(budget_.UsedBy("a"), 500);
  budget_.Add(MemoryKind::kTexts, "a", -200);
  EXPECT_EQ(budget_.bytes(MemoryKind::kTexts), 100);
  EXPECT_EQ(budget_.UsedBy("a"), 300);
  EXPECT_EQ(budget_.bytes_max(), 1000);
}

TEST_F(MemoryBudgetTest, RefusesAtItsBound) {
  EXPECT_TRUE(budget_.Take(MemoryKind::kTexts, "a", 1000));
  EXPECT_FALSE(budget_.Take(MemoryKind::kTexts, "a", 1));
  EXPECT_EQ(budget_.bytes(MemoryKind::kTexts), 1000);
  EXPECT_FALSE(budget_.IsOver());
  budget_.Add(MemoryKind::kSessions, "a", 1);  // it is there
  EXPECT_TRUE(budget_.IsOver());
}

TEST_F(MemoryBudgetTest, ATenantLeavesTheOthersTheirPart) {
  ASSERT_TRUE(budget_.Take(MemoryKind::kTexts, "b", 1));
  EXPECT_FALSE(budget_.Take(MemoryKind::kTexts, "a", 900));
  EXPECT_TRUE(budget_.Take(MemoryKind::kTexts, "a", 700));
  EXPECT_TRUE(budget_.HasRoom("b", 200));
}

TEST_F(MemoryBudgetTest, WhatAllShareLeavesLess) {
  budget_.SetShared(MemoryKind::kTokenizers, 400);
  budget_.SetShared(MemoryKind::kPrefixes, 100);
  EXPECT_EQ(budget_.bytes(MemoryKind::kTokenizers), 400);
  EXPECT_FALSE(budget_.HasRoom("a", 501));
  EXPECT_TRUE(budget_.HasRoom("a", 500));
  budget_.SetShared(MemoryKind::kTokenizers, 0);
  EXPECT_TRUE(budget_.HasRoom("a", 900));
}

TEST(DefaultMemoryBudgetTest, IsAPartOfTheMemoryThereIs) {
  EXPECT_GT(DefaultMemoryBudget(), int64_t{16} << 20);
}

TEST(MemoryKindTest, EachHasItsName) {
  EXPECT_STREQ(MemoryKindName(MemoryKind::kSessions), "sessions");
  EXPECT_STREQ(MemoryKindName(MemoryKind::kTexts), "texts");
  EXPECT_STREQ(MemoryKindName(MemoryKind::kPrefixes), "prefixes");
  EXPECT_STREQ(MemoryKindName(MemoryKind::kTokenizers), "tokenizers");
}

}  // namespace
}  // namespace tandem
