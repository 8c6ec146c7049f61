#include "engine/speculation/cost_curve.h"

#include <gtest/gtest.h>

#include <random>

namespace tandem {
namespace {

CostCurve Make(const std::vector<StepCost>& costs) { return CostCurve(costs); }

TEST(CostCurveTest, AnEmptyOneCostsNothing) {
  EXPECT_TRUE(CostCurve().empty());
  EXPECT_EQ(CostCurve().At(4), 0);
}

TEST(CostCurveTest, ReadsTheWeightsUntilComputingLimits) {
  const CostCurve curve =
      Make({{.rows = 4, .us = 140}, {.rows = 20, .us = 400}});
  EXPECT_DOUBLE_EQ(curve.At(4), 140);
  EXPECT_DOUBLE_EQ(curve.At(6), 140);
  EXPECT_DOUBLE_EQ(curve.At(8), 160);
  EXPECT_DOUBLE_EQ(curve.At(16), 320);
  EXPECT_DOUBLE_EQ(curve.At(20), 400);
  // Where rows become dearer a line joins them.
  const CostCurve rising =
      Make({{.rows = 4, .us = 40}, {.rows = 8, .us = 120}});
  EXPECT_DOUBLE_EQ(rising.At(6), 80);
}

TEST(CostCurveTest, GoesOnBeyondWhatWasMeasured) {
  // By the row, below the least.
  EXPECT_DOUBLE_EQ(Make({{.rows = 8, .us = 160}}).At(4), 80);
  // Half of the cost by the row, above the only one.
  EXPECT_DOUBLE_EQ(Make({{.rows = 2, .us = 200}}).At(4), 300);
  // The slope of the upper half: from 8 to 16, not from 15 to 16.
  const CostCurve curve = Make({{.rows = 1, .us = 100},
                                {.rows = 8, .us = 100},
                                {.rows = 15, .us = 100},
                                {.rows = 16, .us = 180}});
  EXPECT_DOUBLE_EQ(curve.At(18), 200);
}

TEST(CostCurveTest, MeasurementsThatContradictAreAveraged) {
  const CostCurve curve = Make({{.rows = 1, .us = 100},
                                {.rows = 2, .us = 300},
                                {.rows = 3, .us = 200},
                                {.rows = 4, .us = 130},
                                {.rows = 5, .us = 400}});
  EXPECT_DOUBLE_EQ(curve.At(1), 100);
  EXPECT_DOUBLE_EQ(curve.At(2), 210);
  EXPECT_DOUBLE_EQ(curve.At(4), 210);
  EXPECT_DOUBLE_EQ(curve.At(5), 400);
}

TEST(CostCurveTest, MeasurementsWeighByTheirPasses) {
  const CostCurve given = Make({{.rows = 1, .us = 300, .passes = 1},
                                {.rows = 2, .us = 200, .passes = 3}});
  EXPECT_DOUBLE_EQ(given.At(1), 225);
  // A cold first pass of one row says little of the usual ones of four.
  CostCurve curve;
  curve.Add(1, 400);
  for (int i = 0; i < 200; ++i) curve.Add(4, 200);
  EXPECT_NEAR(curve.At(4), 200, 1);
  // What a worker reports is the same curve.
  EXPECT_DOUBLE_EQ(CostCurve(curve.costs()).At(4), curve.At(4));
}

TEST(CostCurveTest, TheFirstPassesOfARowCountAreAveragedAlike) {
  CostCurve curve;
  for (const double us : {400.0, 200.0, 300.0}) curve.Add(4, us);
  EXPECT_NEAR(curve.At(4), 300, 1);
  // One that was not seen for long is learnt anew.
  for (int i = 0; i < 2000; ++i) curve.Add(8, 500);
  curve.Add(4, 200);
  EXPECT_NEAR(curve.At(4), 200, 1);
}

TEST(CostCurveTest, APromptTakesItsShareOfAFullPass) {
  EXPECT_DOUBLE_EQ(Make({{.rows = 64, .us = 640}}).PromptUs(32), 320);
}

TEST(CostCurveTest, AveragesPassesAndBoundsTheirNumber) {
  CostCurve curve;
  for (int i = 0; i < 20; ++i) curve.Add(4, 100);
  curve.Add(4, 200);
  EXPECT_DOUBLE_EQ(curve.At(4), 120);
  curve.Add(33, 330);
  curve.Add(64, 640);
  curve.Add(1, 50);
  ASSERT_EQ(curve.costs().size(), 3u);
  EXPECT_EQ(curve.costs()[0].rows, 1);
  EXPECT_EQ(curve.costs()[2].rows, 64);
  // At the cost of as many rows as it stands for.
  EXPECT_NEAR(curve.At(64), 640, 1e-9);
}

TEST(CostCurveTest, TheUpperEstimateIsTheSlowestOrTheDearestRow) {
  CostCurve curve;
  EXPECT_EQ(curve.UpperEstimateUs(100), 0);
  curve.Add(1, 120);
  for (int i = 0; i < 20; ++i) curve.Add(8, 50);
  EXPECT_DOUBLE_EQ(curve.UpperEstimateUs(1), 120);
  EXPECT_DOUBLE_EQ(curve.UpperEstimateUs(3), 360);
  curve.Add(8, 10000);
  EXPECT_DOUBLE_EQ(curve.UpperEstimateUs(1), 50 + 0.2 * (10000 - 50));
}

TEST(CostCurveTest, IsMonotoneWhateverWasMeasured) {
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    CostCurve curve;
    for (int i = 0; i < 1 + round % 40; ++i) {
      curve.Add(1 + static_cast<int>(random() % 100), 1 + random() % 10000);
    }
    double last = 0;
    for (double rows = 1; rows < 200; rows += 0.5) {
      ASSERT_GE(curve.At(rows), last - 1e-9) << rows;
      last = curve.At(rows);
    }
    EXPECT_GT(last, 0);
  }
}

}  // namespace
}  // namespace tandem
