#include "engine/model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "engine/base/memory_reservation.h"

namespace tandem {
namespace {

RopeConfig Plain() { return {.dims = 16, .base = 10000.0}; }

double PlainFrequency(int pair) { return std::pow(10000.0, -pair / 8.0); }

// Against libm in double: FixedExp is within 2 ulp and multiplied by up to
// 199, FixedSinCos within 1e-15, so the double value is within 1e-13; then one
// rounding to float (2^-25 of at most 1).
TEST(RopeTableTest, FollowsTheDefinitionInBothOrders) {
  ThreadTeam team(2);
  constexpr Position kPositions = 200;
  RopeConfig config = Plain();
  RopeTable interleaved(config, kPositions, kPositions);
  interleaved.FillTo(kPositions, &team);
  config.pairs = RopePairs::kHalfSplit;
  RopeTable split(config, kPositions, kPositions);
  split.FillTo(kPositions, &team);
  for (Position position = 0; position < kPositions; ++position) {
    for (int pair = 0; pair < 8; ++pair) {
      const double angle = static_cast<double>(position) * PlainFrequency(pair);
      const float cosine = interleaved.At(position)[2 * pair];
      const float sine = interleaved.At(position)[2 * pair + 1];
      EXPECT_NEAR(cosine, std::cos(angle), 0x1p-24);
      EXPECT_NEAR(sine, std::sin(angle), 0x1p-24);
      EXPECT_EQ(split.At(position)[pair], cosine);
      EXPECT_EQ(split.At(position)[8 + pair], sine);
    }
  }
}

TEST(RopeTableTest, DoesNotDependOnTheThreads) {
  ThreadTeam one(1);
  ThreadTeam three(3);
  RopeTable expected(Plain(), 1000, 1000);
  expected.FillTo(1000, &one);
  RopeTable actual(Plain(), 1000, 1000);
  actual.FillTo(1000, &three);
  EXPECT_EQ(
      std::memcmp(actual.At(0), expected.At(0), 1000 * 16 * sizeof(float)), 0);
}

// A table takes the memory of the positions that are used, and has the same
// bits however it grew.
TEST(RopeTableTest, GrowsWithThePositions) {
  ThreadTeam team(2);
  constexpr Position kContext = Position{1} << 24;  // 1 GiB
  const int64_t before = ResidentBytes(0);
  RopeTable grown(Plain(), kContext, kContext);
  for (const Position end : {1, 1, 2, 255, 256, 257, 700}) {
    grown.FillTo(end, &team);
  }
  EXPECT_LE(ResidentBytes(0) - before, int64_t{16} << 20);
  RopeTable whole(Plain(), kContext, 700);
  whole.FillTo(700, &team);
  EXPECT_EQ(std::memcmp(grown.At(0), whole.At(0), 700 * 16 * sizeof(float)), 0);
}

TEST(RopeTableTest, MagnitudeMultipliesTheTable) {
  ThreadTeam team(1);
  RopeConfig config = Plain();
  config.magnitude = 1.5;
  RopeTable table(config, 4, 4);
  table.FillTo(4, &team);
  EXPECT_EQ(table.At(0)[0], 1.5f);
  EXPECT_NEAR(table.At(3)[0], 1.5 * std::cos(3.0), 0x1p-23);
}

// Relative: FixedExp is within 2 ulp of 2^-53 each, the exponent within 2 of
// its own, at most 9.2.
constexpr double kTolerance = 40 * 0x1p-53;

void ExpectFrequencies(const RopeConfig& config, Position context,
                       const std::function<double(int)>& expected) {
  const std::vector<double> frequencies = RopeFrequencies(config, context);
  ASSERT_EQ(frequencies.size(), 8u);
  for (int i = 0; i < 8; ++i) {
    EXPECT_NEAR(frequencies[i], expected(i), expected(i) * kTolerance) << i;
  }
}

TEST(RopeFrequenciesTest, LinearScalingDividesPositions) {
  RopeConfig config = Plain();
  config.scaling = RopeScaling::kLinear;
  config.factor = 4;
  ExpectFrequencies(config, 100, [](int i) { return PlainFrequency(i) / 4; });
}

TEST(RopeFrequenciesTest, FactorsDivideEachPair) {
  RopeConfig config = Plain();
  config.factors = {1, 1, 1, 2, 4, 8, 8, 8};
  ExpectFrequencies(config, 100, [&](int i) {
    return PlainFrequency(i) / config.factors[i];
  });
}

TEST(RopeFrequenciesTest, LongFactorsServeLongContextsOnly) {
  RopeConfig config = Plain();
  config.scaling = RopeScaling::kLongRope;
  config.original_context = 100;
  config.factors = {1, 1, 1, 1, 1, 1, 1, 2};
  config.long_factors = {1, 2, 3, 4, 5, 6, 7, 8};
  ExpectFrequencies(config, 100, [&](int i) {
    return PlainFrequency(i) / config.factors[i];
  });
  ExpectFrequencies(config, 101, [&](int i) {
    return PlainFrequency(i) / config.long_factors[i];
  });
}

// Of 16 dimensions and 1,024 positions, pair i turns 1024 / 2 pi *
// 10000^(-i / 8) times: 32 times at 1.4, once at 4.4. So pairs 0 and 1 stay
// and those from 5 on are scaled.
TEST(RopeFrequenciesTest, YarnKeepsFastPairsAndScalesSlowOnes) {
  RopeConfig config = Plain();
  config.scaling = RopeScaling::kYarn;
  config.factor = 8;
  config.original_context = 1024;
  ExpectFrequencies(config, 100, [](int i) {
    const double scaled = i <= 1 ? 0 : i >= 5 ? 1 : (i - 1) / 4.0;
    return PlainFrequency(i) * (scaled / 8 + 1 - scaled);
  });
  EXPECT_NEAR(RopeMagnitude(config), 1 + 0.1 * std::log(8.0), 1e-15);
  // An original context below any turn: no pair is fast, and the range is not
  // turned round.
  config.original_context = 1;
  ExpectFrequencies(config, 100,
                    [](int i) { return PlainFrequency(i) / (i == 0 ? 1 : 8); });
}

TEST(RopeConfigTest, EveryFieldIsHashed) {
  const auto hash_of = [](const RopeConfig& config) {
    Sha256 hash;
    config.AddTo(&hash);
    return hash.HexDigest();
  };
  const std::vector<void (*)(RopeConfig*)> changes = {
      [](RopeConfig* c) { c->pairs = RopePairs::kHalfSplit; },
      [](RopeConfig* c) { ++c->dims; },
      [](RopeConfig* c) { c->base *= 2; },
      [](RopeConfig* c) { c->scaling = RopeScaling::kYarn; },
      [](RopeConfig* c) { c->factor *= 2; },
      [](RopeConfig* c) { ++c->original_context; },
      [](RopeConfig* c) { c->magnitude *= 2; },
      [](RopeConfig* c) { c->beta_fast *= 2; },
      [](RopeConfig* c) { c->beta_slow *= 2; },
      [](RopeConfig* c) { c->factors = {2}; },
      [](RopeConfig* c) { c->long_factors = {2}; },
  };
  for (const auto& change : changes) {
    RopeConfig changed = Plain();
    change(&changed);
    EXPECT_NE(hash_of(changed), hash_of(Plain()));
  }
}

}  // namespace
}  // namespace tandem
