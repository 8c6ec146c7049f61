#include "tools/load/samples.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace tandem::load {
namespace {

TEST(SamplesTest, NothingGivesZeros) {
  const Samples times;
  EXPECT_EQ(times.count(), 0);
  EXPECT_EQ(times.Percentile(99), 0);
  EXPECT_EQ(times.max(), 0);
  EXPECT_EQ(times.mean(), 0);
}

TEST(SamplesTest, PercentilesAreExact) {
  Samples times;
  std::vector<int64_t> sorted;
  std::minstd_rand random(7);
  for (int i = 0; i < 1000; ++i) {
    sorted.push_back(static_cast<int64_t>(random() % 100000));
    times.Add(sorted.back());
  }
  std::sort(sorted.begin(), sorted.end());
  for (const int percent : {0, 1, 10, 50, 90, 99, 100}) {
    const int rank = std::max(1, percent * 10);
    EXPECT_EQ(times.Percentile(percent), sorted[rank - 1]) << percent;
  }
  EXPECT_EQ(times.max(), sorted.back());
}

TEST(SamplesTest, BelowZeroIsZero) {
  Samples times;
  times.Add(-5);
  EXPECT_EQ(times.Percentile(100), 0);
  EXPECT_EQ(times.mean(), 0);
}

TEST(SamplesTest, TimesCount) {
  Samples low;
  low.Add(10, 3);
  Samples high;
  high.Add(1000);
  low.Merge(high);
  EXPECT_EQ(low.count(), 4);
  EXPECT_EQ(low.Percentile(75), 10);
  EXPECT_EQ(low.Percentile(76), 1000);
  EXPECT_EQ(low.mean(), 257.5);
}

// 0, 1, 2, ... three times as many as are kept: a percentile's rank among the
// kept ones is binomial, with a standard deviation of at most
// sqrt(0.25 / kSamplesMax) = 0.2% of all; 1% is five of them.
TEST(SamplesTest, BeyondTheLimitARandomSampleIsKept) {
  constexpr auto kAll = static_cast<int64_t>(3 * kSamplesMax);
  Samples times;
  for (int64_t i = 0; i < kAll; ++i) times.Add(i);
  EXPECT_EQ(times.count(), kAll);
  EXPECT_EQ(times.max(), kAll - 1);
  EXPECT_EQ(times.mean(), static_cast<double>(kAll - 1) / 2);
  for (const int percent : {10, 50, 90}) {
    EXPECT_NEAR(static_cast<double>(times.Percentile(percent)),
                percent / 100.0 * static_cast<double>(kAll),
                0.01 * static_cast<double>(kAll));
  }
}

}  // namespace
}  // namespace tandem::load
