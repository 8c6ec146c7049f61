#include "engine/model/attention_pass.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <tuple>
#include <vector>

#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

// 8 heads on 2 KV heads, so that heads share keys.
ModelConfig Config(int64_t window) {
  ModelConfig config;
  config.windows.window = window;
  config.layers = 2;
  config.width = 32;
  config.feed_forward_width = 32;
  config.heads = 8;
  config.kv_heads = 2;
  config.head_dim = 20;
  config.attention_scale =
      static_cast<float>(1 / std::sqrt(static_cast<double>(config.head_dim)));
  config.rope.dims = 20;
  config.rope.base = 10000;
  config.vocab_size = 10;
  return config;
}

constexpr int kRowsMax = 40;
constexpr Position kContext = 3 * kAttentionSpanTokens;

// A sequence whose keys and values are all stored, in layer 1.
class Fixture {
 public:
  Fixture(int threads, KvType type, int64_t window) : config_(Config(window)) {
    auto state = ModelState::Create(
        config_, {.numerics = NumericsMode::kInt8,
                  .kv_type = type,
                  .threads = threads,
                  .level = SimdLevel::kScalar,
                  .context_max = kContext,
                  .kv_pages = 100,
                  .rows_max = kContext,  // all positions stay
                  .sequences_max = 4});
    EXPECT_TRUE(state.ok()) << state.status();
    state_ = *std::move(state);
    sequence_ = *state_->kv().Open({.tokens_max = kContext});
    TinyRandom random(3);
    std::vector<float> row(config_.head_dim);
    for (Position at = 0; at < kContext; ++at) {
      for (int64_t head = 0; head < config_.kv_heads; ++head) {
        const KvCache::Slot slot = state_->kv().At(sequence_, 1, head, at);
        for (float& x : row) x = random.Uniform();
        keys_.push_back(row);
        StoreKey(kScalarKernels, type, row.data(), config_.head_dim,
                 slot.position_in_block, slot.block_keys);
        for (float& x : row) x = random.Uniform();
        values_.push_back(row);
        StoreValue(kScalarKernels, type, row.data(), config_.head_dim,
                   slot.value);
      }
    }
  }

  // Rows at positions [position, position + count), in groups of at most
  // `group_rows`; the query of a row depends on its position.
  std::vector<float> Run(Position position, int64_t count, int64_t group_rows) {
    Activations& scratch = state_->activations();
    scratch.rows.clear();
    scratch.groups.clear();
    for (int64_t row = 0; row < count; ++row) {
      scratch.rows.push_back({.sequence = sequence_,
                              .position = static_cast<Position>(position + row),
                              .token = 0});
      const std::vector<float> query = Query(position + row);
      std::memcpy(scratch.query.data() + row * config_.query_width(),
                  query.data(), query.size() * sizeof(float));
    }
    for (int64_t at = 0; at < count; at += group_rows) {
      scratch.groups.push_back(
          {.begin = at, .count = std::min(group_rows, count - at)});
    }
    AttentionPass(config_, state_.get()).Run(1);
    return {scratch.attended.data(),
            scratch.attended.data() + count * config_.query_width()};
  }

  std::vector<float> Query(Position position) const {
    TinyRandom random(1000 + position);
    std::vector<float> query(config_.query_width());
    for (float& x : query) x = 2 * random.Uniform();
    return query;
  }

  // Softmax in double of what is stored as f32.
  double Expected(Position position, int64_t head, int64_t dim) const {
    const std::vector<float> query = Query(position);
    const int64_t kv_head = head / (config_.heads / config_.kv_heads);
    double sum = 0;
    double weighted = 0;
    for (Position at = config_.FirstSeen(1, position); at <= position; ++at) {
      const std::vector<float>& key = keys_[at * config_.kv_heads + kv_head];
      double dot = 0;
      for (int64_t i = 0; i < config_.head_dim; ++i) {
        dot += double{query[head * config_.head_dim + i]} * key[i];
      }
      const double p = std::exp(dot / std::sqrt(double(config_.head_dim)));
      sum += p;
      weighted += p * values_[at * config_.kv_heads + kv_head][dim];
    }
    return weighted / sum;
  }

  const ModelConfig& config() const { return config_; }

 private:
  ModelConfig config_;
  std::unique_ptr<ModelState> state_;
  SequenceId sequence_ = 0;
  std::vector<std::vector<float>> keys_;    // [position * kv_heads + head]
  std::vector<std::vector<float>> values_;  // likewise
};

// The storage, and the window (0: none).
class AttentionPassTest
    : public ::testing::TestWithParam<std::tuple<KvType, int64_t>> {
 protected:
  Fixture MakeFixture(int threads) const {
    return Fixture(threads, std::get<0>(GetParam()), std::get<1>(GetParam()));
  }
};

class AttentionPassDoubleTest : public ::testing::TestWithParam<int64_t> {};

TEST_P(AttentionPassDoubleTest, IsTheSoftmaxOverAllThatIsSeen) {
  Fixture fixture(1, KvType::kF32, GetParam());
  const ModelConfig& config = fixture.config();
  const std::vector<Position> positions = {
      0, 31, 32, kAttentionSpanTokens - 1, kAttentionSpanTokens, kContext - 1};
  for (const Position position : positions) {
    const std::vector<float> out = fixture.Run(position, 1, 1);
    for (int64_t head = 0; head < config.heads; ++head) {
      // Values and scores stay below 4, so the sums are off by at most 3
      // roundings a token and the scores by 21.
      const double bound = (3.0 * kContext + 21 * 4) * 0x1p-24;
      EXPECT_NEAR(out[head * config.head_dim + 7],
                  fixture.Expected(position, head, 7), bound)
          << position << " " << head;
    }
  }
}

// Rows alone, together, in groups of any size, with spans shared out or not:
// the same bits.
TEST_P(AttentionPassTest, GroupsAndThreadsGiveTheSameBits) {
  Fixture alone = MakeFixture(1);
  const std::vector<Position> starts = {0, 20, kAttentionSpanTokens - 10,
                                        2 * kAttentionSpanTokens - 3};
  for (const Position first : starts) {
    std::vector<float> expected;
    for (Position row = 0; row < kRowsMax; ++row) {
      const std::vector<float> one = alone.Run(first + row, 1, 1);
      expected.insert(expected.end(), one.begin(), one.end());
    }
    for (const int threads : {1, 2, 4}) {
      Fixture together = MakeFixture(threads);
      for (const int64_t rows : {int64_t{1}, int64_t{5}, kSpanRowsMax,
                                 kSpanRowsMax + 1, int64_t{kRowsMax}}) {
        for (const int64_t group_rows : {1, 3, 8}) {
          const std::vector<float> out = together.Run(first, rows, group_rows);
          ASSERT_EQ(std::memcmp(out.data(), expected.data(),
                                out.size() * sizeof(float)),
                    0)
              << rows << " rows from " << first << " in groups of "
              << group_rows << ", " << threads << " threads";
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, AttentionPassDoubleTest,
                         ::testing::Values(0, 45, 700));
INSTANTIATE_TEST_SUITE_P(KvTypes, AttentionPassTest,
                         ::testing::Combine(::testing::Values(KvType::kBf16,
                                                              KvType::kF32),
                                            ::testing::Values(0, 45, 700)));

}  // namespace
}  // namespace tandem
