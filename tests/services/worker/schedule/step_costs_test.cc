#include "services/worker/schedule/step_costs.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(StepCostsTest, AveragesByRows) {
  StepCosts costs;
  EXPECT_EQ(costs.UpperEstimateUs(100), 0);
  costs.Add(1, 100);
  EXPECT_EQ(costs.averages().at(1), 100);
  costs.Add(1, 200);
  EXPECT_DOUBLE_EQ(costs.averages().at(1), 120);  // a fifth of the way
  costs.Add(8, 50);
  EXPECT_EQ(costs.averages().size(), 2u);
  EXPECT_DOUBLE_EQ(costs.UpperEstimateUs(1), 120);
  EXPECT_DOUBLE_EQ(costs.UpperEstimateUs(3), 360);
  costs.Add(8, 10000);
  EXPECT_DOUBLE_EQ(costs.UpperEstimateUs(1), 50 + 0.2 * (10000 - 50));
}

TEST(StepCostsTest, LargeCountsShareAnEntry) {
  StepCosts costs;
  for (int rows = 1; rows <= 4096; ++rows) costs.Add(rows, rows);
  EXPECT_EQ(costs.averages().size(), 32u + 4096u / 32u - 1u);
  EXPECT_EQ(costs.averages().count(33), 0u);
  EXPECT_EQ(costs.averages().count(64), 1u);
  EXPECT_EQ(costs.averages().rbegin()->first, 4096);
  // At the cost of as many rows as it stands for.
  EXPECT_NEAR(costs.averages().at(64), 64, 1e-9);
}

TEST(StepCostsTest, TheCurveGoesThroughTheAverages) {
  StepCosts costs;
  EXPECT_TRUE(costs.Curve().empty());
  costs.Add(1, 100);
  costs.Add(5, 300);
  EXPECT_DOUBLE_EQ(costs.Curve().At(1), 100);
  EXPECT_DOUBLE_EQ(costs.Curve().At(3), 180);
  EXPECT_DOUBLE_EQ(costs.Curve().At(5), 300);
}

}  // namespace
}  // namespace tandem
