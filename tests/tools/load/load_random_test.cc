#include "tools/load/load_random.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace tandem::load {
namespace {

TEST(LoadRandomTest, EqualSeedsGiveEqualNumbersAndOthersOthers) {
  LoadRandom one({1, 2});
  LoadRandom same({1, 2});
  LoadRandom other({2, 1});
  const uint64_t first = one.Next();
  EXPECT_EQ(first, same.Next());
  EXPECT_NE(first, other.Next());
  EXPECT_NE(first, one.Next());
}

TEST(LoadRandomTest, ARangeGivesAllItsNumbersAlike) {
  LoadRandom random({3});
  std::vector<int> seen(5);
  constexpr int kDraws = 50000;
  for (int i = 0; i < kDraws; ++i) {
    const int64_t value = random.NextIn({.low = 10, .high = 14});
    ASSERT_GE(value, 10);
    ASSERT_LE(value, 14);
    ++seen[static_cast<size_t>(value - 10)];
  }
  // Binomial with p = 0.2: a standard deviation is 89; six of them.
  for (const int times : seen) EXPECT_NEAR(times, kDraws / 5, 6 * 89);
  EXPECT_EQ(random.NextIn({.low = 4, .high = 4}), 4);
}

TEST(PoissonArrivalsTest, GapsAreExponentialWithTheRate) {
  constexpr double kRate = 200;
  constexpr int kArrivals = 100000;
  PoissonArrivals arrivals(kRate, 9);
  std::chrono::nanoseconds last{0};
  double square_sum = 0;
  int longer_than_mean = 0;
  for (int i = 0; i < kArrivals; ++i) {
    const std::chrono::nanoseconds next = arrivals.Next();
    ASSERT_GE(next, last);
    const double gap = std::chrono::duration<double>(next - last).count();
    square_sum += gap * gap;
    if (gap > 1 / kRate) ++longer_than_mean;
    last = next;
  }
  const double mean = std::chrono::duration<double>(last).count() / kArrivals;
  // The mean of n exponential gaps has a relative deviation of 1 / sqrt(n):
  // 0.32%; six of them. Their second moment is 2 / rate^2, with a relative
  // deviation of sqrt(5 / n): 0.71%.
  EXPECT_NEAR(mean * kRate, 1, 0.019);
  EXPECT_NEAR(square_sum / kArrivals * kRate * kRate / 2, 1, 0.043);
  // P(gap > mean) = 1/e, deviation sqrt(0.233 / n): 0.0015.
  EXPECT_NEAR(static_cast<double>(longer_than_mean) / kArrivals, std::exp(-1.0),
              0.0092);
}

TEST(PoissonArrivalsTest, ASeedGivesTheSameArrivals) {
  PoissonArrivals one(5, 1);
  PoissonArrivals same(5, 1);
  PoissonArrivals other(5, 2);
  EXPECT_EQ(one.Next(), same.Next());
  EXPECT_NE(one.Next(), other.Next());
}

}  // namespace
}  // namespace tandem::load
