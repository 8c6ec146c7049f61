#include "tools/load/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gtest/gtest.h"
#include "tools/load/load_random.h"

namespace tandem::load {
namespace {

TEST(HistogramTest, NothingGivesZeros) {
  const Histogram times;
  EXPECT_EQ(times.count(), 0);
  EXPECT_EQ(times.Percentile(99), 0);
  EXPECT_EQ(times.max(), 0);
  EXPECT_EQ(times.mean(), 0);
}

TEST(HistogramTest, SmallValuesAreExact) {
  Histogram times;
  for (int us = 1; us <= 100; ++us) times.Add(us);
  EXPECT_EQ(times.Percentile(0), 1);
  EXPECT_EQ(times.Percentile(50), 50);
  EXPECT_EQ(times.Percentile(99), 99);
  EXPECT_EQ(times.Percentile(100), 100);
  EXPECT_EQ(times.mean(), 50.5);
}

TEST(HistogramTest, PercentilesAreWithinOnePart128OfSortedSamples) {
  Histogram times;
  std::vector<int64_t> samples;
  LoadRandom random({7});
  for (int i = 0; i < 20000; ++i) {
    // Over 30 powers of two.
    const auto us = static_cast<int64_t>(std::exp2(30 * random.NextUnit()));
    samples.push_back(us);
    times.Add(us);
  }
  std::sort(samples.begin(), samples.end());
  for (const double percent : {1.0, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<size_t>(
        std::ceil(percent / 100 * static_cast<double>(samples.size())));
    const int64_t exact = samples[rank - 1];
    EXPECT_GE(times.Percentile(percent), exact) << percent;
    EXPECT_LE(times.Percentile(percent), exact + exact / 128) << percent;
  }
  EXPECT_EQ(times.max(), samples.back());
}

TEST(HistogramTest, ValuesOutsideAreTakenAtTheEdge) {
  Histogram times;
  times.Add(-5);
  times.Add(int64_t{1} << 50);
  EXPECT_EQ(times.Percentile(50), 0);
  EXPECT_EQ(times.max(), (int64_t{1} << 40) - 1);
  EXPECT_EQ(times.Percentile(100), times.max());
}

TEST(HistogramTest, MergingIsAddingAll) {
  Histogram low;
  low.Add(10, 3);
  Histogram high;
  high.Add(1000, 1);
  low.Merge(high);
  EXPECT_EQ(low.count(), 4);
  EXPECT_EQ(low.Percentile(75), 10);
  EXPECT_EQ(low.Percentile(76), 1000);
  EXPECT_EQ(low.mean(), 257.5);
}

}  // namespace
}  // namespace tandem::load
