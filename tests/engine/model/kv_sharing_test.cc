// The KV cache with a prefix cache: which pages sequences share, and what is
// read from them.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/model/kv_cache.h"
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

// Tokens that the random schedules put into a sequence at once at most.
constexpr int64_t kRowsMax = 30;

std::unique_ptr<KvCache> MakeCache(const KvCacheOptions& options) {
  absl::StatusOr<std::unique_ptr<KvCache>> cache = KvCache::Create(options);
  EXPECT_TRUE(cache.ok()) << cache.status();
  return *std::move(cache);
}

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail ? detail->reason : "";
}

KvCacheOptions SharingOptions() {
  KvCacheOptions options = kOptions;
  options.prefix_cache = true;
  return options;
}

std::vector<TokenId> Numbers(TokenId first, int64_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

SequenceId MustOpen(KvCache* cache, absl::Span<const TokenId> tokens,
                    absl::string_view tenant = "") {
  const absl::StatusOr<SequenceId> id =
      cache->Open({.tokens_max = static_cast<Position>(tokens.size()) + 1,
                   .tokens = tokens,
                   .tenant = tenant});
  EXPECT_TRUE(id.ok()) << id.status();
  return *id;
}

TEST(KvSharingTest, ASequenceBeginsWithTheKeptPagesOfItsTokens) {
  const std::unique_ptr<KvCache> cache = MakeCache(SharingOptions());
  const std::vector<TokenId> tokens = Numbers(0, 3 * kKvPageTokens);
  const SequenceId first = MustOpen(cache.get(), tokens, "a");
  EXPECT_EQ(cache->length(first), 0);
  cache->Extend(first, 0, tokens);
  // As soon as they are full, but for the page of the last token.
  EXPECT_EQ(cache->cut_min(first), 0);
  cache->ShareFull(first);
  EXPECT_EQ(cache->cut_min(first), 2 * kKvPageTokens);
  const SequenceId second = MustOpen(cache.get(), tokens, "a");
  EXPECT_EQ(cache->length(second), 2 * kKvPageTokens);
  EXPECT_EQ(cache->BlockAt(second, 1, 2, 1).keys,
            cache->BlockAt(first, 1, 2, 1).keys);
  EXPECT_NE(cache->BlockAt(second, 1, 2, 2).keys,
            cache->BlockAt(first, 1, 2, 2).keys);
  EXPECT_EQ(cache->pages_reserved(), 2 + 2 + 2);
  cache->Close(first);
  // Nobody uses the third page any more; it is kept.
  EXPECT_EQ(cache->pages_reserved(), 2 + 2);
  EXPECT_EQ(cache->pages_cached(), 1);
  const std::vector<TokenId> more = Numbers(0, 4 * kKvPageTokens);
  const SequenceId third = MustOpen(cache.get(), more, "a");
  EXPECT_EQ(cache->length(third), 3 * kKvPageTokens);
  EXPECT_EQ(cache->pages_cached(), 0);
  cache->Close(third);
  cache->Close(second);
  EXPECT_EQ(cache->pages_reserved(), 0);
  EXPECT_EQ(cache->pages_cached(), 3);
}

// A sequence whose rows are wanted runs them, and still shares its pages.
TEST(KvSharingTest, KeptPagesAreUsedUpToABound) {
  const std::unique_ptr<KvCache> cache = MakeCache(SharingOptions());
  const std::vector<TokenId> tokens = Numbers(0, 4 * kKvPageTokens);
  const SequenceId first = MustOpen(cache.get(), tokens);
  cache->Extend(first, 0, tokens);
  cache->ShareFull(first);
  for (const Position kept_max :
       {Position{0}, Position{1}, Position{kKvPageTokens - 1},
        Position{kKvPageTokens}, Position{2 * kKvPageTokens + 5},
        Position{9 * kKvPageTokens}}) {
    const absl::StatusOr<SequenceId> id =
        cache->Open({.tokens_max = 4 * kKvPageTokens + 1,
                     .tokens = tokens,
                     .kept_max = kept_max});
    ASSERT_TRUE(id.ok()) << id.status();
    const Position kept = std::min<Position>(kept_max / kKvPageTokens, 3);
    EXPECT_EQ(cache->length(*id), kept * kKvPageTokens);
    cache->Extend(*id, cache->length(*id),
                  absl::MakeConstSpan(tokens).subspan(cache->length(*id)));
    cache->ShareFull(*id);
    EXPECT_EQ(cache->BlockAt(*id, 1, 2, 2).keys,
              cache->BlockAt(first, 1, 2, 2).keys);
    cache->Close(*id);
  }
}

TEST(KvSharingTest, TenantsAndSequencesWithoutTokensShareNothing) {
  const std::unique_ptr<KvCache> cache = MakeCache(SharingOptions());
  const std::vector<TokenId> tokens = Numbers(0, 2 * kKvPageTokens + 1);
  const auto run = [&](const SequenceOptions& options) {
    const absl::StatusOr<SequenceId> id = cache->Open(options);
    EXPECT_TRUE(id.ok()) << id.status();
    const Position found = cache->length(*id);
    cache->Extend(*id, found, absl::MakeConstSpan(tokens).subspan(found));
    cache->ShareFull(*id);
    cache->Close(*id);
    return found;
  };
  const SequenceOptions plain = {.tokens_max = 70};
  const SequenceOptions alice = {
      .tokens_max = 70, .tokens = tokens, .tenant = "alice"};
  const SequenceOptions bob = {
      .tokens_max = 70, .tokens = tokens, .tenant = "bob"};
  EXPECT_EQ(run(plain), 0);
  EXPECT_EQ(cache->pages_cached(), 0);
  EXPECT_EQ(run(alice), 0);
  EXPECT_EQ(run(bob), 0);
  EXPECT_EQ(run(plain), 0);
  EXPECT_EQ(run(alice), 2 * kKvPageTokens);
  EXPECT_EQ(run(bob), 2 * kKvPageTokens);
  EXPECT_EQ(cache->pages_cached(), 4);
}

TEST(KvSharingTest, KeptPagesLeaveWhenTheirMemoryIsNeeded) {
  const std::unique_ptr<KvCache> cache = MakeCache(SharingOptions());
  for (const TokenId first : {0, 1000, 2000}) {
    const std::vector<TokenId> tokens = Numbers(first, 3 * kKvPageTokens);
    const SequenceId id = MustOpen(cache.get(), tokens);
    cache->Extend(id, 0, tokens);
    cache->Close(id);
  }
  EXPECT_EQ(cache->pages_cached(), 9);
  // 5 pages: the free one, the three of the first sequence, and of the second
  // the last page.
  ASSERT_TRUE(cache->Open({.tokens_max = 5 * kKvPageTokens}).ok());
  EXPECT_EQ(cache->pages_cached(), 5);
  EXPECT_EQ(cache->pages_reserved(), 5);
  const std::vector<TokenId> second = Numbers(1000, 3 * kKvPageTokens + 1);
  const SequenceId id = MustOpen(cache.get(), second);
  EXPECT_EQ(cache->length(id), 2 * kKvPageTokens);
  // What a sequence is about to use does not leave for it: the two pages that
  // it lacks were the third sequence's. 9 of 10 pages are in use now.
  EXPECT_EQ(cache->pages_cached(), 1);
  const absl::Status refused =
      cache->Open({.tokens_max = 2 * kKvPageTokens}).status();
  EXPECT_EQ(ReasonOf(refused), kReasonExhausted);
}

TEST(KvSharingTest, TokensThatDoNotFitAreRefused) {
  const std::unique_ptr<KvCache> cache = MakeCache(SharingOptions());
  const std::vector<TokenId> tokens = Numbers(0, 20);
  const absl::Status status =
      cache->Open({.tokens_max = 19, .tokens = tokens}).status();
  EXPECT_EQ(ReasonOf(status), kReasonContextExceeded);
}

// Where all slices of windowed layers are used once, pages are shared as
// anywhere; a sequence beyond the ring shares nothing.
TEST(KvSharingTest, SequencesWithinTheRingOfTheirWindowsShare) {
  KvCacheOptions options = SharingOptions();
  options.windows = {.window = 40, .period = 2};
  options.rows_max = kRowsMax;  // a ring of 4 pages
  const std::unique_ptr<KvCache> cache = MakeCache(options);
  const std::vector<TokenId> tokens = Numbers(0, 3 * kKvPageTokens);
  const auto run = [&](Position tokens_max) {
    const SequenceId id =
        *cache->Open({.tokens_max = tokens_max, .tokens = tokens});
    const Position found = cache->length(id);
    cache->Extend(id, found, absl::MakeConstSpan(tokens).subspan(found));
    cache->Close(id);
    return found;
  };
  EXPECT_EQ(run(5 * kKvPageTokens), 0);
  EXPECT_EQ(cache->pages_cached(), 0);
  EXPECT_EQ(run(4 * kKvPageTokens), 0);
  EXPECT_EQ(run(4 * kKvPageTokens), 2 * kKvPageTokens);
  EXPECT_EQ(run(5 * kKvPageTokens), 0);
  EXPECT_EQ(cache->pages_cached(), 3);
}

// What is stored for a token depends on it and all before it, as in a model.
std::vector<float> StoredFor(const std::vector<TokenId>& tokens) {
  std::vector<float> values;
  uint32_t hash = 1;
  for (const TokenId token : tokens) {
    hash = hash * 2654435761u + static_cast<uint32_t>(token) + 1;
    values.push_back(static_cast<float>(hash >> 9));
  }
  return values;
}

struct SharingSequence {
  int64_t tenant = 0;
  std::vector<TokenId> text;  // that it follows, mostly
  std::vector<TokenId> held = {};
  Position tokens_max = 0;
};

// Opens, appends, cuts and closes of sequences that begin alike, of several
// tenants, with more pages wanted than there are.
class SharingSchedule {
 public:
  explicit SharingSchedule(const KvCacheOptions& options)
      : cache_(MakeCache(options)) {
    const std::vector<TokenId> base = Draw(kOptions.context_max);
    for (const int64_t same : {0, 33, 64, 100, 120}) {
      texts_.push_back(Draw(kOptions.context_max));
      std::copy(base.begin(), base.begin() + same, texts_.back().begin());
    }
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFatalFailure();
         ++step) {
      const int64_t action = random_.Below(8);
      if (action == 0 || open_.empty()) {
        Open();
      } else {
        auto chosen = open_.begin();
        std::advance(chosen, random_.Below(open_.size()));
        if (action == 1) {
          closed_.push_back(chosen->second);
          cache_->Close(chosen->first);
          open_.erase(chosen);
        } else {
          Append(chosen->first, &chosen->second);
        }
      }
      ASSERT_LE(cache_->pages_reserved() + cache_->pages_cached(),
                kOptions.pages);
      if (step % 10 == 0) CheckAll();
    }
  }

  // Nothing is in use in the end, and kept pages make room for the longest
  // sequences.
  void Finish() {
    for (const auto& [id, sequence] : open_) cache_->Close(id);
    EXPECT_EQ(cache_->pages_reserved(), 0);
    EXPECT_GT(cache_->pages_cached(), 0);
    EXPECT_TRUE(cache_->Open({.tokens_max = kOptions.context_max}).ok());
    EXPECT_TRUE(cache_->Open({.tokens_max = kOptions.context_max}).ok());
    // 5 pages each; with windows of one layer in two, of that layer 4.
    const bool windows = cache_->options().windows.window > 0;
    EXPECT_EQ(cache_->pages_reserved(), windows ? 9 : 10);
    EXPECT_LE(cache_->pages_cached(), windows ? 1 : 0);
  }

  int64_t tokens_found() const { return tokens_found_; }
  int64_t refused() const { return refused_; }

 private:
  std::vector<TokenId> Draw(int64_t count) {
    std::vector<TokenId> tokens(count);
    for (TokenId& token : tokens) {
      token = static_cast<TokenId>(random_.Below(50));
    }
    return tokens;
  }

  void Open() {
    const std::string tenants[] = {"a", "b", "c"};
    SharingSequence sequence{.tenant = random_.Below(3),
                             .text = texts_[random_.Below(texts_.size())]};
    sequence.tokens_max = 1 + random_.Below(kOptions.context_max);
    const absl::Span<const TokenId> tokens =
        absl::MakeConstSpan(sequence.text)
            .first(random_.Below(sequence.tokens_max + 1));
    const absl::StatusOr<SequenceId> id =
        cache_->Open({.tokens_max = sequence.tokens_max,
                      .tokens = tokens,
                      .tenant = tenants[sequence.tenant]});
    if (!id.ok()) {
      ++refused_;
      return;
    }
    const Position found = cache_->length(*id);
    ASSERT_LE(found,
              std::max<int64_t>(0, static_cast<int64_t>(tokens.size()) - 1));
    tokens_found_ += found;
    sequence.held.assign(tokens.begin(), tokens.begin() + found);
    ExpectOwn(sequence);
    open_[*id] = std::move(sequence);
  }

  // What a sequence begins with was stored by one of its tenant.
  void ExpectOwn(const SharingSequence& sequence) {
    if (sequence.held.empty()) return;
    const auto begins = [&](const SharingSequence& other) {
      return other.tenant == sequence.tenant &&
             other.held.size() >= sequence.held.size() &&
             std::equal(sequence.held.begin(), sequence.held.end(),
                        other.held.begin());
    };
    const bool own =
        std::any_of(closed_.begin(), closed_.end(), begins) ||
        std::any_of(open_.begin(), open_.end(),
                    [&](const auto& entry) { return begins(entry.second); });
    ASSERT_TRUE(own);
  }

  void Append(SequenceId id, SharingSequence* sequence) {
    const Position length = cache_->length(id);
    const Position cut_min = cache_->cut_min(id);
    const Position start = random_.Below(3) == 0
                               ? cut_min + random_.Below(length - cut_min + 1)
                               : length;
    const Position end =
        std::min(start + random_.Below(kRowsMax + 1), sequence->tokens_max);
    std::vector<TokenId> tokens(sequence->text.begin() + start,
                                sequence->text.begin() + end);
    if (!tokens.empty() && random_.Below(3) == 0) tokens.back() = 51;
    cache_->Extend(id, start, tokens);
    sequence->held.resize(start);
    sequence->held.insert(sequence->held.end(), tokens.begin(), tokens.end());
    const std::vector<float> values = StoredFor(sequence->held);
    for (Position at = start; at < end; ++at) {
      for (int64_t layer = 0; layer < kOptions.layers; ++layer) {
        const KvCache::Slot slot = cache_->At(id, layer, 1, at);
        static_cast<float*>(slot.block_keys)[slot.position_in_block] =
            values[at] + static_cast<float>(layer);
      }
    }
    cache_->ShareFull(id);
  }

  void CheckAll() {
    const LayerWindows& windows = cache_->options().windows;
    for (const auto& [id, sequence] : open_) {
      const std::vector<float> values = StoredFor(sequence.held);
      ASSERT_EQ(cache_->length(id),
                static_cast<Position>(sequence.held.size()));
      for (int64_t layer = 0; layer < kOptions.layers; ++layer) {
        const Position seen =
            windows.Has(layer) ? std::max<Position>(0, cache_->cut_min(id) + 1 -
                                                           windows.window)
                               : 0;
        for (Position at = seen; at < cache_->length(id); ++at) {
          const auto* keys = static_cast<const float*>(
              cache_->BlockAt(id, layer, 1, at / kKvPageTokens).keys);
          ASSERT_EQ(keys[at % kKvPageTokens],
                    values[at] + static_cast<float>(layer));
        }
      }
    }
  }

  TinyRandom random_{5};
  const std::unique_ptr<KvCache> cache_;
  std::vector<std::vector<TokenId>> texts_;
  std::map<SequenceId, SharingSequence> open_;
  std::vector<SharingSequence> closed_;
  int64_t tokens_found_ = 0;
  int64_t refused_ = 0;
};

// With one bucket all hashes collide.
TEST(KvSharingTest, SharesTheRightPagesUnderRandomSchedules) {
  for (const int64_t buckets : {0, 1}) {
    for (const Position window : {0, 40}) {
      KvCacheOptions options = SharingOptions();
      options.prefix_buckets = buckets;
      options.windows = {.window = window, .period = 2};
      options.rows_max = kRowsMax;
      SharingSchedule schedule(options);
      schedule.Run(4000);
      ASSERT_FALSE(HasFatalFailure());
      EXPECT_GT(schedule.tokens_found(), 1000);
      EXPECT_GT(schedule.refused(), 10);
      schedule.Finish();
    }
  }
}

}  // namespace
}  // namespace tandem
