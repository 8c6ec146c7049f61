#include "engine/kernels/attention.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/kernels/float_math.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

// One head's cache and queries.
struct Head {
  Head(KvType kv_type, int64_t tokens, int64_t dims, uint32_t seed)
      : type(kv_type), count(tokens), head_dim(dims) {
    for (uint32_t i = 0; i < kQueries; ++i) {
      queries.push_back(RandomFloats(head_dim, seed + 100 * i));
    }
    const std::vector<float> k = RandomFloats(count * head_dim, seed + 1);
    const std::vector<float> v = RandomFloats(count * head_dim, seed + 2);
    // What lies past the count is never part of a result.
    keys.resize(blocks() * BlockBytes(), 0xff);
    values.resize(blocks() * BlockBytes(), 0xff);
    for (int64_t t = 0; t < count; ++t) {
      Store(t, k.data() + t * head_dim, v.data() + t * head_dim);
    }
  }

  void Store(int64_t t, const float* key, const float* value) {
    StoreKey(kScalarKernels, type, key, head_dim, t % kKvPageTokens,
             keys.data() + t / kKvPageTokens * BlockBytes());
    StoreValue(kScalarKernels, type, value, head_dim,
               values.data() + t * head_dim * Bytes());
  }
  int64_t Bytes() const { return type == KvType::kBf16 ? 2 : 4; }
  int64_t BlockBytes() const { return kKvPageTokens * head_dim * Bytes(); }
  int64_t blocks() const { return (count + kKvPageTokens - 1) / kKvPageTokens; }
  float Element(const std::vector<uint8_t>& data, int64_t index) const {
    if (type == KvType::kF32) {
      float value;
      std::memcpy(&value, data.data() + 4 * index, sizeof(value));
      return value;
    }
    uint16_t bits;
    std::memcpy(&bits, data.data() + 2 * index, sizeof(bits));
    return Bf16ToFloat(bits);
  }
  float Key(int64_t t, int64_t i) const {
    const int64_t block = t / kKvPageTokens * kKvPageTokens * head_dim;
    return Element(keys, block + i * kKvPageTokens + t % kKvPageTokens);
  }
  float Value(int64_t t, int64_t i) const {
    return Element(values, t * head_dim + i);
  }

  static constexpr uint32_t kQueries = 13;  // 8 + 4 + 1
  KvType type;
  int64_t count;
  int64_t head_dim;
  std::vector<std::vector<float>> queries;
  std::vector<uint8_t> keys;
  std::vector<uint8_t> values;
};

// The first `queries` of them over positions [begin, count), `at_once` together
// and, where `cut` is not 0, in parts that begin at 0 and `cut` and are merged:
// [queries, head_dim].
struct How {
  SimdLevel level = SimdLevel::kScalar;
  float scale = 1;
  uint32_t queries = 1;
  uint32_t at_once = Head::kQueries;
  int64_t begin = 0;
  int64_t cut = 0;
};

void See(const Head& head, const How& how, int64_t first, int64_t last,
         std::vector<AttentionQuery>* queries) {
  for (uint32_t q = 0; q < how.queries; q += how.at_once) {
    for (int64_t at = first / kKvPageTokens * kKvPageTokens; at < last;
         at += kKvPageTokens) {
      AttendBlock(
          KernelsFor(how.level), head.type,
          {.keys = head.keys.data() + at / kKvPageTokens * head.BlockBytes(),
           .values =
               head.values.data() + at / kKvPageTokens * head.BlockBytes(),
           .begin = std::max<int64_t>(0, first - at),
           .end = std::min<int64_t>(kKvPageTokens, last - at),
           .head_dim = head.head_dim,
           .scale = how.scale,
           .queries = queries->data() + q,
           .query_count = std::min(how.at_once, how.queries - q)});
    }
  }
}

std::vector<float> Attend(const Head& head, const How& how) {
  std::vector<std::vector<float>> storage;
  std::vector<AttentionQuery> whole(how.queries);
  std::vector<AttentionQuery> next(how.queries);
  for (uint32_t q = 0; q < how.queries; ++q) {
    for (AttentionQuery* query : {&whole[q], &next[q]}) {
      storage.emplace_back(head.head_dim, -9.0f);
      query->query = head.queries[q].data();
      query->values = storage.back().data();
      BeginAttention(head.head_dim, query);
    }
  }
  See(head, how, how.begin, how.cut == 0 ? head.count : how.cut, &whole);
  if (how.cut != 0) See(head, how, how.cut, head.count, &next);
  std::vector<float> out(how.queries * head.head_dim);
  for (uint32_t q = 0; q < how.queries; ++q) {
    if (how.cut != 0) {
      MergeAttention(KernelsFor(how.level), next[q], head.head_dim, &whole[q]);
    }
    KernelsFor(how.level).divide(whole[q].values, whole[q].sum, head.head_dim,
                                 out.data() + q * head.head_dim);
  }
  return out;
}

class AttentionTest : public ::testing::TestWithParam<KvType> {};

void ExpectNearSoftmax(const Head& head, const How& how) {
  std::vector<double> scores(head.count);
  double maximum = -1e30;
  for (int64_t t = how.begin; t < head.count; ++t) {
    for (int64_t i = 0; i < head.head_dim; ++i) {
      scores[t] +=
          static_cast<double>(head.queries[0][i]) * head.Key(t, i) * how.scale;
    }
    maximum = std::max(maximum, scores[t]);
  }
  const std::vector<float> out = Attend(head, how);
  for (int64_t i = 0; i < head.head_dim; ++i) {
    double sum = 0;
    double weighted = 0;
    double magnitude = 0;
    for (int64_t t = how.begin; t < head.count; ++t) {
      const double p = std::exp(scores[t] - maximum);
      sum += p;
      weighted += p * head.Value(t, i);
      magnitude += p * std::abs(head.Value(t, i));
    }
    // A score is off by at most head_dim + 1 roundings of its magnitudes, which
    // stay below 8 here; the exponential turns that into a relative error of
    // p; 2 ulp of the exponential, one rounding a token and two for each
    // rescaling come on top.
    const double bound =
        ((head.head_dim + 1) * 8 + 4 + 3 * head.count + 8) * 0x1p-24;
    EXPECT_NEAR(out[i], weighted / sum, magnitude / sum * bound);
  }
}

TEST_P(AttentionTest, IsNearTheSoftmaxInDouble) {
  for (int64_t count : {1, 2, 31, 32, 33, 100}) {
    for (int64_t head_dim : {8, 48, 64}) {
      const Head head(GetParam(), count, head_dim, 91);
      How how = {.scale = 1.0f / std::sqrt(static_cast<float>(head_dim))};
      ExpectNearSoftmax(head, how);
      how.cut = count / 2 / kKvPageTokens * kKvPageTokens;
      ExpectNearSoftmax(head, how);
      how.cut = 0;
      how.begin = count / 3;
      ExpectNearSoftmax(head, how);
    }
  }
}

TEST_P(AttentionTest, CompanyAndLevelsGiveTheSameBits) {
  for (int64_t count : {1, 17, 32, 50, 300}) {
    for (int64_t head_dim : {4, 24, 64, 128}) {
      const Head head(GetParam(), count, head_dim, 95);
      for (int64_t begin : {int64_t{0}, count / 2}) {
        const How alone = {.scale = 0.125f,
                           .queries = Head::kQueries,
                           .at_once = 1,
                           .begin = begin};
        const std::vector<float> expected = Attend(head, alone);
        for (SimdLevel level : MachineLevels()) {
          for (uint32_t at_once : {1u, 2u, 3u, 7u, Head::kQueries}) {
            How how = alone;
            how.level = level;
            how.at_once = at_once;
            const std::vector<float> out = Attend(head, how);
            ASSERT_TRUE(SameBits(out.data(), expected.data(), out.size()))
                << count << " tokens, " << head_dim << " wide, " << at_once
                << " queries, " << SimdLevelName(level);
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  Head head(GetParam(), 40, 16, 97);
  for (float& q : head.queries[0]) q *= 1000;
  for (float v : Attend(head, {})) EXPECT_TRUE(std::isfinite(v));
}

TEST_P(AttentionTest, PoisonInAnyBlockReachesTheResult) {
  for (int64_t token : {0, 40, 69}) {
    Head head(GetParam(), 70, 16, 98);
    std::vector<float> key(16, 1.0f);
    key[3] = std::numeric_limits<float>::quiet_NaN();
    head.Store(token, key.data(), key.data());
    for (SimdLevel level : MachineLevels()) {
      for (float v : Attend(head, {.level = level})) {
        EXPECT_TRUE(std::isnan(v));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(KvTypes, AttentionTest,
                         ::testing::Values(KvType::kBf16, KvType::kF32));

TEST(StoreValueTest, RoundsToNearestEven) {
  const float x[] = {1.0f, 1.00390625f, 1.01171875f, -0.0f};
  uint16_t out[4];
  StoreValue(kScalarKernels, KvType::kBf16, x, 4, out);
  EXPECT_EQ(out[0], 0x3f80);
  EXPECT_EQ(out[1], 0x3f80);  // half-way: down to even
  EXPECT_EQ(out[2], 0x3f82);  // half-way: up to even
  EXPECT_EQ(out[3], 0x8000);
}

TEST(StoreKeyTest, FillsOneColumn) {
  const int64_t head_dim = 300;  // more than is converted at a time
  const std::vector<float> x = RandomFloats(head_dim, 4);
  std::vector<uint16_t> row(head_dim);
  StoreValue(kScalarKernels, KvType::kBf16, x.data(), head_dim, row.data());
  std::vector<uint16_t> keys(head_dim * kKvPageTokens, 7);
  StoreKey(kScalarKernels, KvType::kBf16, x.data(), head_dim, 31, keys.data());
  for (int64_t i = 0; i < head_dim * kKvPageTokens; ++i) {
    ASSERT_EQ(keys[i], i % kKvPageTokens == 31 ? row[i / kKvPageTokens] : 7);
  }
}

}  // namespace
}  // namespace tandem
