// The pages of KV that sequences of one tenant share, by the tokens that they
// stand for. Owned by a KvCache and used on its thread; allocates nothing after
// it is made. It knows slices of the pool by number only.
//
// An entry is one full page. It is found by its tokens, the entry of the page
// before it (so by all tokens before it too) and its tenant, all of them
// compared, not hashes of them. A user of an entry uses the entries before it
// as well. Entries that nobody uses stay until their memory is needed: the one
// that was let go first leaves first, and the last page of a sequence is let
// go first, so no entry stays without those before it.

#ifndef TANDEM_ENGINE_MODEL_PREFIX_CACHE_H_
#define TANDEM_ENGINE_MODEL_PREFIX_CACHE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/types.h"

namespace tandem {

// SHA-256 of a tenant's name, in hexadecimal.
using TenantDigest = std::array<char, 64>;
TenantDigest DigestOfTenant(absl::string_view tenant);

struct PrefixCacheOptions {
  int64_t entries = 0;
  int64_t slices_per_page = 1;
  // Lists that entries are found in by hash, a power of two; 0: as many as
  // entries, rounded up. Few ones cost time only.
  int64_t buckets = 0;
};

class PrefixCache {
 public:
  // Number of an entry.
  using Entry = int32_t;
  static constexpr Entry kNone = -1;

  struct Key {
    Entry parent = kNone;  // of the page before; kNone: the first page
    const TenantDigest* tenant = nullptr;
    absl::Span<const TokenId> tokens;  // [kKvPageTokens]
  };

  explicit PrefixCache(const PrefixCacheOptions& options);

  // Memory for each entry, of so many slices.
  static int64_t EntryBytes(int64_t slices_per_page);

  // kNone where there is none.
  Entry Find(const Key& key) const;
  // A new entry with one user, who uses key.parent already. The slices
  // [slices_per_page] are the entry's now. There is none with this key, and
  // fewer than options.entries in all.
  Entry Add(const Key& key, absl::Span<const int32_t> slices);
  // One user more, or less.
  void Use(Entry entry);
  void Release(Entry entry);

  Entry parent(Entry entry) const { return nodes_[entry].parent; }
  absl::Span<const int32_t> slices(Entry entry) const {
    return absl::MakeConstSpan(slices_).subspan(entry * slices_per_page_,
                                                slices_per_page_);
  }

  // Entries that nobody uses.
  int64_t unused() const { return unused_; }
  // Forgets the one of them that was let go first; there is one. Its slices,
  // which are the caller's then, are valid until the next Add.
  absl::Span<const int32_t> Evict();

 private:
  struct Node {
    uint64_t hash = 0;  // of all tokens up to here and the tenant
    Entry parent = kNone;
    Entry next = kNone;   // in its bucket, or of the free entries
    Entry older = kNone;  // among the unused ones
    Entry newer = kNone;
    int32_t users = 0;
    int32_t children = 0;
    TenantDigest tenant = {};
  };

  uint64_t HashOf(const Key& key) const;
  bool IsAt(Entry entry, const Key& key) const;
  Entry& BucketOf(uint64_t hash) { return buckets_[hash & bucket_mask_]; }
  void RemoveFromUnused(Entry entry);

  const int64_t slices_per_page_;
  const uint64_t bucket_mask_;
  std::vector<Entry> buckets_;     // first entry of each
  std::vector<Node> nodes_;        // [entries]
  HugePageArray<TokenId> tokens_;  // [entries, kKvPageTokens]
  std::vector<int32_t> slices_;    // [entries, slices_per_page]
  Entry free_ = kNone;
  Entry oldest_ = kNone;
  Entry newest_ = kNone;
  int64_t unused_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_PREFIX_CACHE_H_
