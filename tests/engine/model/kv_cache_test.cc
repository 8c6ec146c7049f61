#include "engine/model/kv_cache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

constexpr KvCacheOptions kOptions = {.layers = 2,
                                     .kv_heads = 3,
                                     .head_dim = 4,
                                     .type = KvType::kF32,
                                     .pages = 10,
                                     .context_max = 5 * kKvPageTokens,
                                     .sequences_max = 4};

std::unique_ptr<KvCache> MakeCache(const KvCacheOptions& options = kOptions) {
  absl::StatusOr<std::unique_ptr<KvCache>> cache = KvCache::Create(options);
  EXPECT_TRUE(cache.ok()) << cache.status();
  return *std::move(cache);
}

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail ? detail->reason : "";
}

TEST(KvCacheTest, ReservesWholePagesAtOpen) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  const absl::StatusOr<SequenceId> one = cache->Open(kKvPageTokens);
  const absl::StatusOr<SequenceId> two = cache->Open(kKvPageTokens + 1);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(cache->pages_reserved(), 3);
  EXPECT_EQ(cache->length(*two), 0);
  EXPECT_EQ(cache->tokens_max(*two), kKvPageTokens + 1);
  cache->Close(*two);
  EXPECT_EQ(cache->pages_reserved(), 1);
  cache->Close(*one);
  EXPECT_EQ(cache->pages_reserved(), 0);
}

TEST(KvCacheTest, RefusesWhatCanNeverFit) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  for (const Position tokens : {Position{0}, Position{-1},
                                kOptions.context_max + 1, Position{1} << 40}) {
    const absl::Status status = cache->Open(tokens).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << tokens;
    EXPECT_EQ(ReasonOf(status), kReasonContextExceeded);
  }
  KvCacheOptions small = kOptions;
  small.pages = 2;  // less than a context
  EXPECT_EQ(MakeCache(small)->Open(2 * kKvPageTokens + 1).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(KvCacheTest, SaysWhenPagesOrSequencesAreUsedUp) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  ASSERT_TRUE(cache->Open(5 * kKvPageTokens).ok());
  ASSERT_TRUE(cache->Open(4 * kKvPageTokens).ok());
  const absl::Status no_page = cache->Open(2 * kKvPageTokens).status();
  EXPECT_EQ(no_page.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(no_page), kReasonExhausted);
  EXPECT_EQ(cache->pages_reserved(), 9);  // nothing was taken
  EXPECT_TRUE(cache->Open(1).ok());

  const std::unique_ptr<KvCache> other = MakeCache();
  for (int i = 0; i < kOptions.sequences_max; ++i) {
    ASSERT_TRUE(other->Open(1).ok());
  }
  const absl::Status no_sequence = other->Open(1).status();
  EXPECT_EQ(no_sequence.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(no_sequence), kReasonExhausted);
}

TEST(KvCacheTest, MoreMemoryThanTheMachineHasIsRefused) {
  KvCacheOptions huge = kOptions;
  for (const int64_t pages : {int64_t{1} << 30, int64_t{1} << 45}) {
    huge.pages = pages;
    huge.head_dim = 1 << 10;
    const absl::Status status = KvCache::Create(huge).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(ReasonOf(status), kReasonExhausted);
  }
}

TEST(KvCacheTest, IdsOfClosedSequencesAreUnknown) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  const SequenceId first = *cache->Open(1);
  EXPECT_TRUE(cache->IsOpen(first));
  cache->Close(first);
  const SequenceId second = *cache->Open(1);
  EXPECT_NE(first, second);
  EXPECT_FALSE(cache->IsOpen(first));
  EXPECT_TRUE(cache->IsOpen(second));
  EXPECT_FALSE(cache->IsOpen(-1));
  EXPECT_FALSE(cache->IsOpen(1 << 30));
}

TEST(KvCacheTest, MarksASequenceOncePerBatch) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  const SequenceId a = *cache->Open(1);
  const SequenceId b = *cache->Open(1);
  EXPECT_TRUE(cache->MarkInBatch(a, 1));
  EXPECT_TRUE(cache->MarkInBatch(b, 1));
  EXPECT_FALSE(cache->MarkInBatch(a, 1));
  EXPECT_TRUE(cache->MarkInBatch(a, 2));
}

TEST(KvCacheTest, Bf16TakesHalfTheBytes) {
  KvCacheOptions options = kOptions;
  options.type = KvType::kBf16;
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  const SequenceId id = *cache->Open(2);
  const auto* first = static_cast<const uint8_t*>(cache->At(id, 0, 0, 0).key);
  const auto* second = static_cast<const uint8_t*>(cache->At(id, 0, 0, 1).key);
  EXPECT_EQ(second - first, 2 * options.head_dim);
}

// The plain model: what was written where, by sequence.
struct PlainSequence {
  Position tokens_max = 0;
  std::map<std::vector<int64_t>, float> keys;  // layer, head, position
};

// Fills one position in all layers and heads with fresh values.
void Write(KvCache* cache, SequenceId id, Position position, float* next,
           PlainSequence* plain) {
  for (int64_t layer = 0; layer < kOptions.layers; ++layer) {
    for (int64_t head = 0; head < kOptions.kv_heads; ++head) {
      const KvCache::Slot slot = cache->At(id, layer, head, position);
      *next += 1.0f;
      for (int64_t i = 0; i < kOptions.head_dim; ++i) {
        static_cast<float*>(slot.key)[i] = *next;
        static_cast<float*>(slot.value)[i] = -*next;
      }
      plain->keys[{layer, head, position}] = *next;
    }
  }
}

// Every position below the length reads back what was written last.
void ExpectEqual(const KvCache& cache, SequenceId id,
                 const PlainSequence& plain) {
  const Position length = cache.length(id);
  for (int64_t layer = 0; layer < kOptions.layers; ++layer) {
    for (int64_t head = 0; head < kOptions.kv_heads; ++head) {
      for (Position first = 0; first < length; first += kKvPageTokens) {
        const int64_t count = std::min<int64_t>(kKvPageTokens, length - first);
        const AttentionBlock block =
            cache.Block(id, layer, head, first / kKvPageTokens, count);
        ASSERT_EQ(block.count, count);
        // The same, without its first positions.
        const AttentionBlock rest =
            cache.Block(id, layer, head, first / kKvPageTokens, 1, count - 1);
        ASSERT_EQ(*static_cast<const float*>(rest.keys),
                  plain.keys.at({layer, head, first + count - 1}));
        ASSERT_EQ(*static_cast<const float*>(rest.values),
                  -plain.keys.at({layer, head, first + count - 1}));
        for (int64_t t = 0; t < count; ++t) {
          const float wanted = plain.keys.at({layer, head, first + t});
          for (int64_t i = 0; i < kOptions.head_dim; ++i) {
            const int64_t at = t * kOptions.head_dim + i;
            ASSERT_EQ(static_cast<const float*>(block.keys)[at], wanted);
            ASSERT_EQ(static_cast<const float*>(block.values)[at], -wanted);
          }
        }
      }
    }
  }
}

// Random opens, appends, cuts and closes against the plain model.
TEST(KvCacheTest, KeepsEverySequenceApartUnderRandomSchedules) {
  TinyRandom random(7);
  const std::unique_ptr<KvCache> cache = MakeCache();
  std::map<SequenceId, PlainSequence> open;
  float next = 0;
  for (int step = 0; step < 3000; ++step) {
    const int64_t action = random.Below(8);
    if (action == 0) {
      const Position tokens = 1 + random.Below(kOptions.context_max);
      const absl::StatusOr<SequenceId> id = cache->Open(tokens);
      if (id.ok()) open[*id].tokens_max = tokens;
    } else if (!open.empty()) {
      auto chosen = open.begin();
      std::advance(chosen, random.Below(open.size()));
      const SequenceId id = chosen->first;
      if (action == 1) {
        cache->Close(id);
        open.erase(chosen);
      } else {
        const Position start = random.Below(cache->length(id) + 1);
        const Position end =
            std::min(start + random.Below(40), chosen->second.tokens_max);
        cache->SetLength(id, end);
        for (Position p = start; p < end; ++p) {
          Write(cache.get(), id, p, &next, &chosen->second);
        }
      }
    }
    int64_t pages = 0;
    for (const auto& [id, plain] : open) {
      pages += (plain.tokens_max + kKvPageTokens - 1) / kKvPageTokens;
      if (step % 20 == 0) ExpectEqual(*cache, id, plain);
    }
    ASSERT_EQ(cache->pages_reserved(), pages);
  }
}

}  // namespace
}  // namespace tandem
