#include "services/coordinator/client/fair_bound.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

const MonotonicTime kStart = MonotonicTime() + std::chrono::hours(1);

// Takes one at a time while it may; returns how many.
int TakeAll(FairBound* bound, const std::string& tenant, MonotonicTime now) {
  int taken = 0;
  while (bound->Take(tenant, 1, now)) ++taken;
  return taken;
}

TEST(FairBoundTest, ATenantAloneMayHaveAll) {
  FairBound bound(100);
  EXPECT_EQ(TakeAll(&bound, "a", kStart), 100);
  EXPECT_EQ(bound.used(), 100);
  EXPECT_EQ(bound.UsedBy("a"), 100);
  EXPECT_EQ(bound.UsedBy("b"), 0);
  bound.Add("a", -30);
  EXPECT_EQ(TakeAll(&bound, "a", kStart), 30);
}

TEST(FairBoundTest, WhatBecomesFreeGoesToThoseBelowTheirShare) {
  FairBound bound(100);
  TakeAll(&bound, "a", kStart);
  EXPECT_FALSE(bound.Take("b", 1, kStart));  // all is taken
  bound.Add("a", -10);
  EXPECT_FALSE(bound.Take("a", 1, kStart));
  EXPECT_EQ(TakeAll(&bound, "b", kStart), 10);
  bound.Add("a", -40);
  EXPECT_EQ(TakeAll(&bound, "b", kStart), 40);
  EXPECT_EQ(bound.UsedBy("a"), 50);
  EXPECT_EQ(bound.UsedBy("b"), 50);
}

TEST(FairBoundTest, TheLastQuarterIsKeptForThoseBelowTheirShare) {
  FairBound bound(100);
  ASSERT_TRUE(bound.Take("b", 1, kStart));
  EXPECT_EQ(TakeAll(&bound, "a", kStart), 74);
  EXPECT_EQ(TakeAll(&bound, "b", kStart), 25);
  // A third finds its share when something becomes free.
  EXPECT_FALSE(bound.Take("c", 1, kStart));
  bound.Add("a", -20);
  EXPECT_FALSE(bound.Take("a", 1, kStart));
  EXPECT_EQ(TakeAll(&bound, "c", kStart), 20);
}

TEST(FairBoundTest, ATenantThatAsksNoMoreKeepsNothing) {
  FairBound bound(100);
  ASSERT_TRUE(bound.Take("b", 1, kStart));
  bound.Add("b", -1);
  EXPECT_EQ(TakeAll(&bound, "a", kStart), 75);
  EXPECT_EQ(bound.TenantsAsking(kStart), 2);
  const MonotonicTime later = kStart + FairBound::kAskedLately;
  EXPECT_EQ(bound.TenantsAsking(later), 1);
  EXPECT_EQ(TakeAll(&bound, "a", later), 25);
}

TEST(FairBoundTest, SmallBoundsCanBeUsed) {
  FairBound bound(1);
  EXPECT_TRUE(bound.HasRoom("b", 1, kStart));
  EXPECT_TRUE(bound.Take("a", 1, kStart));
  EXPECT_FALSE(bound.HasRoom("b", 1, kStart));
  bound.Add("a", -1);
  EXPECT_TRUE(bound.Take("b", 1, kStart));
}

TEST(FairBoundTest, MoreTenantsThanPlacesHaveThemAll) {
  FairBound bound(8);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(bound.HasRoom(absl::StrCat(i), 1, kStart));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(bound.Take(absl::StrCat(i), 1, kStart), i < 8) << i;
  }
}

TEST(FairBoundTest, SmallBoundsAreSharedToo) {
  for (const int64_t max : {2, 3}) {
    FairBound bound(max);
    EXPECT_EQ(TakeAll(&bound, "a", kStart), max);
    EXPECT_FALSE(bound.Take("b", 1, kStart));
    bound.Add("a", -1);
    EXPECT_FALSE(bound.Take("a", 1, kStart));
    EXPECT_TRUE(bound.Take("b", 1, kStart));
  }
}

TEST(FairBoundTest, WhatIsThereCountsBeyondTheBound) {
  FairBound bound(10);
  bound.Add("a", 15);
  EXPECT_EQ(bound.used(), 15);
  EXPECT_FALSE(bound.Take("b", 1, kStart));
  bound.SetMax(40);
  EXPECT_TRUE(bound.Take("b", 1, kStart));
}

}  // namespace
}  // namespace tandem
