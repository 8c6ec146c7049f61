#include "engine/kernels/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/base/thread_team.h"
#include "engine/kernels/vector_ops.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

// One head's cache and a query.
struct Head {
  Head(KvType kv_type, int64_t tokens, int64_t dims, uint32_t seed)
      : type(kv_type), count(tokens), head_dim(dims) {
    query = RandomFloats(head_dim, seed);
    const std::vector<float> k = RandomFloats(count * head_dim, seed + 1);
    const std::vector<float> v = RandomFloats(count * head_dim, seed + 2);
    keys.resize(k.size() * Bytes());
    values.resize(v.size() * Bytes());
    StoreKv(SimdLevel::kScalar, type, k.data(), k.size(), keys.data());
    StoreKv(SimdLevel::kScalar, type, v.data(), v.size(), values.data());
  }

  int64_t Bytes() const { return type == KvType::kBf16 ? 2 : 4; }
  int64_t blocks() const { return (count + kKvPageTokens - 1) / kKvPageTokens; }
  AttentionBlock Block(int64_t block) const {
    const int64_t first = block * kKvPageTokens;
    return {.keys = keys.data() + first * head_dim * Bytes(),
            .values = values.data() + first * head_dim * Bytes(),
            .count = std::min<int64_t>(kKvPageTokens, count - first)};
  }
  float Stored(const std::vector<uint8_t>& data, int64_t index) const {
    if (type == KvType::kF32) {
      float value;
      std::memcpy(&value, data.data() + 4 * index, sizeof(value));
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, data.data() + 2 * index, sizeof(bits));
    return Bf16ToFloat(bits);
  }

  KvType type;
  int64_t count;
  int64_t head_dim;
  std::vector<float> query;
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
};

// The blocks are computed by `threads` members in any order, then merged.
std::vector<float> Attend(const Head& head, SimdLevel level, float scale,
                          int threads) {
  std::vector<std::vector<float>> scratch(head.blocks());
  std::vector<AttentionPartial> partials(head.blocks());
  ThreadTeam team(threads);
  team.ParallelFor(head.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = end - 1; block >= begin; --block) {
      scratch[block].assign(head.head_dim, -9.0f);
      partials[block].values = scratch[block].data();
      AttendBlock(level, head.type, head.query.data(), head.Block(block),
                  head.head_dim, scale, &partials[block]);
    }
  });
  for (int64_t block = 1; block < head.blocks(); ++block) {
    MergePartial(level, partials[block], head.head_dim, &partials[0]);
  }
  std::vector<float> out(head.head_dim);
  FinishAttention(level, partials[0], head.head_dim, out.data());
  return out;
}

class AttentionTest : public ::testing::TestWithParam<KvType> {};

TEST_P(AttentionTest, IsNearTheSoftmaxInDouble) {
  for (int64_t count : {1, 2, 31, 32, 33, 100}) {
    for (int64_t head_dim : {8, 48, 64}) {
      const Head head(GetParam(), count, head_dim, 91);
      const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
      std::vector<double> scores(count);
      double maximum = -1e30;
      for (int64_t t = 0; t < count; ++t) {
        for (int64_t i = 0; i < head_dim; ++i) {
          scores[t] += static_cast<double>(head.query[i]) *
                       head.Stored(head.keys, t * head_dim + i) * scale;
        }
        maximum = std::max(maximum, scores[t]);
      }
      const std::vector<float> out = Attend(head, SimdLevel::kScalar, scale, 1);
      for (int64_t i = 0; i < head_dim; ++i) {
        double sum = 0;
        double weighted = 0;
        double magnitude = 0;
        for (int64_t t = 0; t < count; ++t) {
          const double p = std::exp(scores[t] - maximum);
          const double v = head.Stored(head.values, t * head_dim + i);
          sum += p;
          weighted += p * v;
          magnitude += p * std::abs(v);
        }
        // A score is off by at most (head_dim / 16 + 7) roundings of its
        // magnitudes, which stay below 16 here; the exponential turns that
        // into a relative error of p; 2 ulp of the exponential and one
        // rounding a token come on top.
        const double bound =
            ((head_dim / 16 + 7) * 16 + 4 + count + 8) * 0x1p-23;
        EXPECT_NEAR(out[i], weighted / sum, magnitude / sum * bound);
      }
    }
  }
}

TEST_P(AttentionTest, ThreadsAndLevelsGiveTheSameBits) {
  for (int64_t count : {1, 17, 32, 50, 300}) {
    for (int64_t head_dim : {4, 24, 64, 128}) {
      const Head head(GetParam(), count, head_dim, 95);
      const std::vector<float> expected =
          Attend(head, SimdLevel::kScalar, 0.125f, 1);
      for (SimdLevel level : MachineLevels()) {
        for (int threads = 1; threads <= 4; ++threads) {
          const std::vector<float> out = Attend(head, level, 0.125f, threads);
          ASSERT_TRUE(SameBits(out.data(), expected.data(), head_dim))
              << count << " tokens, " << head_dim << " wide, "
              << SimdLevelName(level);
        }
      }
    }
  }
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  Head head(GetParam(), 40, 16, 97);
  for (float& q : head.query) q *= 1000;
  for (float v : Attend(head, SimdLevel::kScalar, 1.0f, 1)) {
    EXPECT_TRUE(std::isfinite(v));
  }
}

TEST_P(AttentionTest, PoisonInAnyBlockReachesTheResult) {
  for (int64_t token : {0, 40, 69}) {
    Head head(GetParam(), 70, 16, 98);
    const float poison = std::numeric_limits<float>::quiet_NaN();
    StoreKv(SimdLevel::kScalar, GetParam(), &poison, 1,
            head.keys.data() + token * 16 * head.Bytes());
    for (SimdLevel level : MachineLevels()) {
      for (float v : Attend(head, level, 1.0f, 1)) EXPECT_TRUE(std::isnan(v));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, AttentionTest,
                         ::testing::Values(KvType::kBf16, KvType::kF32));

TEST(StoreKvTest, RoundsToNearestEven) {
  const float x[] = {1.0f, 1.00390625f, 1.01171875f, -0.0f};
  uint16_t out[4];
  StoreKv(SimdLevel::kScalar, KvType::kBf16, x, 4, out);
  EXPECT_EQ(out[0], 0x3f80);
  EXPECT_EQ(out[1], 0x3f80);  // half-way: down to even
  EXPECT_EQ(out[2], 0x3f82);  // half-way: up to even
  EXPECT_EQ(out[3], 0x8000);
}

}  // namespace
}  // namespace tandem
