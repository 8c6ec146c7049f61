#include "engine/model/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/memory_reservation.h"
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

// Tokens that the random schedules put into a sequence at once at most.
constexpr int64_t kRowsMax = 30;

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail ? detail->reason : "";
}

TEST(KvCacheTest, ReservesWholePagesAtOpen) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  const absl::StatusOr<SequenceId> one =
      cache->Open({.tokens_max = kKvPageTokens});
  const absl::StatusOr<SequenceId> two =
      cache->Open({.tokens_max = kKvPageTokens + 1});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(cache->pages_reserved(), 3);
  EXPECT_EQ(cache->length(*two), 0);
  EXPECT_EQ(cache->tokens_max(*two), kKvPageTokens + 1);
  cache->Close(*two);
  EXPECT_EQ(cache->pages_reserved(), 1);
  cache->Close(*one);
  EXPECT_EQ(cache->pages_reserved(), 0);
}

// 1 GiB of KV: taken page by page as it is written, not at load.
TEST(KvCacheTest, MemoryIsTakenWhenItIsUsed) {
  KvCacheOptions options = kOptions;
  options.head_dim = 128;
  options.pages = (int64_t{1} << 30) / (2 * 3 * 2 * 4 * 128 * kKvPageTokens);
  options.context_max = Position{1} << 20;
  options.prefix_cache = true;
  const int64_t before = ResidentBytes(0);
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  constexpr Position kTokens = 4 * kKvPageTokens;
  const absl::StatusOr<SequenceId> sequence =
      cache->Open({.tokens_max = options.pages / 2 * kKvPageTokens});
  ASSERT_TRUE(sequence.ok()) << sequence.status();
  const std::vector<TokenId> tokens(kTokens);
  cache->Extend(*sequence, 0, tokens);
  for (Position i = 0; i < kTokens; ++i) {
    for (int layer = 0; layer < 2; ++layer) {
      for (int head = 0; head < 3; ++head) {
        std::memset(cache->At(*sequence, layer, head, i).value, 1, 512);
      }
    }
  }
  EXPECT_LE(ResidentBytes(0) - before, int64_t{32} << 20);
  const KvFootprint footprint = KvCache::FootprintOf(options);
  EXPECT_GE(footprint.page_bytes * options.pages, int64_t{1} << 30);
  EXPECT_LE(footprint.page_bytes * options.pages,
            (int64_t{1} << 30) * 102 / 100);
  EXPECT_EQ(footprint.positions_per_page, kKvPageTokens);
}

TEST(KvCacheTest, RefusesWhatCanNeverFit) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  for (const Position tokens : {Position{0}, Position{-1},
                                kOptions.context_max + 1, Position{1} << 40}) {
    const absl::Status status = cache->Open({.tokens_max = tokens}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << tokens;
    EXPECT_EQ(ReasonOf(status), kReasonContextExceeded);
  }
  KvCacheOptions small = kOptions;
  small.pages = 2;  // less than a context
  EXPECT_EQ(MakeCache(small)
                ->Open({.tokens_max = 2 * kKvPageTokens + 1})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(KvCacheTest, SaysWhenPagesOrSequencesAreUsedUp) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  ASSERT_TRUE(cache->Open({.tokens_max = 5 * kKvPageTokens}).ok());
  ASSERT_TRUE(cache->Open({.tokens_max = 4 * kKvPageTokens}).ok());
  const absl::Status no_page =
      cache->Open({.tokens_max = 2 * kKvPageTokens}).status();
  EXPECT_EQ(no_page.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(no_page), kReasonExhausted);
  EXPECT_EQ(cache->pages_reserved(), 9);  // nothing was taken
  EXPECT_TRUE(cache->Open({.tokens_max = 1}).ok());

  const std::unique_ptr<KvCache> other = MakeCache();
  for (int i = 0; i < kOptions.sequences_max; ++i) {
    ASSERT_TRUE(other->Open({.tokens_max = 1}).ok());
  }
  const absl::Status no_sequence = other->Open({.tokens_max = 1}).status();
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
  const SequenceId first = *cache->Open({.tokens_max = 1});
  EXPECT_TRUE(cache->IsOpen(first));
  cache->Close(first);
  const SequenceId second = *cache->Open({.tokens_max = 1});
  EXPECT_NE(first, second);
  EXPECT_FALSE(cache->IsOpen(first));
  EXPECT_TRUE(cache->IsOpen(second));
  EXPECT_FALSE(cache->IsOpen(-1));
  EXPECT_FALSE(cache->IsOpen(1 << 30));
}

TEST(KvCacheTest, MarksASequenceOncePerBatch) {
  const std::unique_ptr<KvCache> cache = MakeCache();
  const SequenceId a = *cache->Open({.tokens_max = 1});
  const SequenceId b = *cache->Open({.tokens_max = 1});
  EXPECT_TRUE(cache->MarkInBatch(a, 1));
  EXPECT_TRUE(cache->MarkInBatch(b, 1));
  EXPECT_FALSE(cache->MarkInBatch(a, 1));
  EXPECT_TRUE(cache->MarkInBatch(a, 2));
}

TEST(KvCacheTest, Bf16TakesHalfTheBytes) {
  KvCacheOptions options = kOptions;
  options.type = KvType::kBf16;
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  const SequenceId id = *cache->Open({.tokens_max = 2});
  const auto* first = static_cast<const uint8_t*>(cache->At(id, 0, 0, 0).value);
  const auto* second =
      static_cast<const uint8_t*>(cache->At(id, 0, 0, 1).value);
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
        static_cast<float*>(
            slot.block_keys)[i * kKvPageTokens + slot.position_in_block] =
            *next;
        static_cast<float*>(slot.value)[i] = -*next;
      }
      plain->keys[{layer, head, position}] = *next;
    }
  }
}

// Every position below the length that a row from cut_min on can see reads
// back what was written last.
void ExpectEqual(const KvCache& cache, SequenceId id,
                 const PlainSequence& plain) {
  const Position length = cache.length(id);
  const LayerWindows& windows = cache.options().windows;
  for (int64_t layer = 0; layer < kOptions.layers; ++layer) {
    const Position seen =
        windows.Has(layer)
            ? std::max<Position>(0, cache.cut_min(id) + 1 - windows.window)
            : 0;
    for (int64_t head = 0; head < kOptions.kv_heads; ++head) {
      for (Position first = seen / kKvPageTokens * kKvPageTokens;
           first < length; first += kKvPageTokens) {
        const int64_t count = std::min<int64_t>(kKvPageTokens, length - first);
        const KvCache::Block block =
            cache.BlockAt(id, layer, head, first / kKvPageTokens);
        for (int64_t t = std::max<int64_t>(0, seen - first); t < count; ++t) {
          const float wanted = plain.keys.at({layer, head, first + t});
          for (int64_t i = 0; i < kOptions.head_dim; ++i) {
            ASSERT_EQ(
                static_cast<const float*>(block.keys)[i * kKvPageTokens + t],
                wanted);
            ASSERT_EQ(static_cast<const float*>(
                          block.values)[t * kOptions.head_dim + i],
                      -wanted);
          }
        }
      }
    }
  }
}

// Random opens, appends, cuts and closes against the plain model.
void RunRandomSchedule(const KvCacheOptions& options) {
  TinyRandom random(7);
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  const KvLayout layout({.layers = options.layers,
                         .windows = options.windows,
                         .rows_max = options.rows_max});
  int64_t limited_cuts = 0;
  std::map<SequenceId, PlainSequence> open;
  float next = 0;
  for (int step = 0; step < 3000; ++step) {
    const int64_t action = random.Below(8);
    if (action == 0) {
      const Position tokens = 1 + random.Below(kOptions.context_max);
      const absl::StatusOr<SequenceId> id = cache->Open({.tokens_max = tokens});
      if (id.ok()) open[*id].tokens_max = tokens;
    } else if (!open.empty()) {
      auto chosen = open.begin();
      std::advance(chosen, random.Below(open.size()));
      const SequenceId id = chosen->first;
      if (action == 1) {
        cache->Close(id);
        open.erase(chosen);
      } else {
        const Position cut_min = cache->cut_min(id);
        limited_cuts += cut_min > 0 ? 1 : 0;
        const Position length = cache->length(id);
        const Position start =
            random.Below(4) == 0 ? cut_min + random.Below(length - cut_min + 1)
                                 : length;
        const Position end = std::min(start + random.Below(kRowsMax + 1),
                                      chosen->second.tokens_max);
        cache->Extend(id, start, std::vector<TokenId>(end - start));
        for (Position p = start; p < end; ++p) {
          Write(cache.get(), id, p, &next, &chosen->second);
        }
      }
    }
    int64_t slices = 0;
    for (const auto& [id, plain] : open) {
      slices += layout.SlicesFor(plain.tokens_max);
      if (step % 20 == 0) ExpectEqual(*cache, id, plain);
    }
    const int64_t a_page = layout.slices_per_page();
    ASSERT_EQ(cache->pages_reserved(), (slices + a_page - 1) / a_page);
  }
  EXPECT_EQ(limited_cuts > 0, options.windows.window > 0);
}

TEST(KvCacheTest, KeepsEverySequenceApartUnderRandomSchedules) {
  RunRandomSchedule(kOptions);
}

TEST(KvCacheTest, KeepsWhatWindowsSeeUnderRandomSchedules) {
  for (const int64_t period : {0, 2}) {
    for (const Position window : {1, 20, 33}) {
      KvCacheOptions options = kOptions;
      options.windows = {.window = window, .period = period};
      options.rows_max = kRowsMax;
      RunRandomSchedule(options);
    }
  }
}

// One layer of two with a window: beyond the ring of 3 pages a sequence takes
// half a page for each page of tokens.
TEST(KvCacheTest, WindowedLayersStopTakingMemory) {
  KvCacheOptions options = kOptions;
  options.context_max = 100 * kKvPageTokens;
  options.windows = {.window = 40, .period = 2};
  options.rows_max = 20;
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  const absl::StatusOr<SequenceId> longest =
      cache->Open({.tokens_max = 17 * kKvPageTokens});
  ASSERT_TRUE(longest.ok()) << longest.status();
  EXPECT_EQ(cache->pages_reserved(), 10);
  EXPECT_EQ(cache->Open({.tokens_max = 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cache->Open({.tokens_max = 17 * kKvPageTokens + 1}).status().code(),
            absl::StatusCode::kInvalidArgument);
  cache->Close(*longest);
  EXPECT_EQ(cache->pages_reserved(), 0);
}

}  // namespace
}  // namespace tandem
