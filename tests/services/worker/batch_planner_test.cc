#include "services/worker/batch_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tandem {
namespace {

using ::testing::ElementsAre;

TEST(BatchPlannerTest, DecodeFirstThenRoundFromTheLast) {
  const std::vector<WorkingStream> streams = {{.id = 1, .is_decode = false},
                                              {.id = 2, .is_decode = true},
                                              {.id = 5, .is_decode = false},
                                              {.id = 7, .is_decode = true},
                                              {.id = 9, .is_decode = false}};
  std::vector<size_t> order;
  PlanOrder(streams, {}, &order);
  EXPECT_THAT(order, ElementsAre(1, 3, 0, 2, 4));
  PlanOrder(streams, {.decode = 2, .prefill = 5}, &order);
  EXPECT_THAT(order, ElementsAre(3, 1, 4, 0, 2));
  PlanOrder(streams, {.decode = 100, .prefill = 9}, &order);
  EXPECT_THAT(order, ElementsAre(1, 3, 0, 2, 4));
  PlanOrder({}, {}, &order);
  EXPECT_TRUE(order.empty());
}

TEST(BatchPlannerTest, NeitherKindStarves) {
  EXPECT_EQ(DivideRows(256, 5, 0).decode, 256);
  EXPECT_EQ(DivideRows(256, 0, 5).prefill, 256);
  const RowBudget both = DivideRows(256, 1000, 1);
  EXPECT_EQ(both.decode, 256 - kPrefillRowsMin);
  EXPECT_EQ(both.prefill, kPrefillRowsBesideDecode);
  for (int rows_max = 1; rows_max <= 64; ++rows_max) {
    const RowBudget budget = DivideRows(rows_max, 1, 1);
    EXPECT_GE(budget.decode, 1);
    EXPECT_GE(budget.prefill, 1);
    EXPECT_LE(budget.prefill, rows_max);
  }
}

TEST(BatchPlannerTest, PrefillSharesWhatIsLeft) {
  EXPECT_EQ(PrefillShare(256, 1), 256);
  EXPECT_EQ(PrefillShare(256, 2), 128);
  EXPECT_EQ(PrefillShare(255, 2), 128);
  EXPECT_EQ(PrefillShare(256, 100), kPrefillRowsMin);
  EXPECT_EQ(PrefillShare(5, 1), 5);
  EXPECT_EQ(PrefillShare(5, 100), 5);
}

}  // namespace
}  // namespace tandem
