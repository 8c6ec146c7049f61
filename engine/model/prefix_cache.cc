#include "engine/model/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <string>

#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {
namespace {

int64_t BucketCount(const PrefixCacheOptions& options) {
  const uint64_t wanted = static_cast<uint64_t>(
      options.buckets > 0 ? options.buckets : options.entries);
  return static_cast<int64_t>(std::bit_ceil(wanted));
}

// The hash so far and one value more.
uint64_t Mix(uint64_t hash, uint64_t value) { return SplitMix64(hash ^ value); }

}  // namespace

TenantDigest DigestOfTenant(absl::string_view tenant) {
  Sha256 hash;
  hash.AddString(tenant);
  const std::string hex = hash.HexDigest();
  TenantDigest digest;
  TANDEM_CHECK(hex.size() == digest.size());
  std::copy(hex.begin(), hex.end(), digest.begin());
  return digest;
}

int64_t PrefixCache::EntryBytes(int64_t slices_per_page) {
  // Buckets are as many as entries, rounded up to a power of two.
  return static_cast<int64_t>(sizeof(Node) + 2 * sizeof(Entry) +
                              kKvPageTokens * sizeof(TokenId)) +
         slices_per_page * static_cast<int64_t>(sizeof(int32_t));
}

PrefixCache::PrefixCache(const PrefixCacheOptions& options)
    : slices_per_page_(options.slices_per_page),
      bucket_mask_(BucketCount(options) - 1),
      buckets_(bucket_mask_ + 1, kNone),
      nodes_(options.entries),
      tokens_(options.entries * kKvPageTokens),
      slices_(options.entries * options.slices_per_page) {
  for (int64_t i = options.entries - 1; i >= 0; --i) {
    nodes_[i].next = free_;
    free_ = static_cast<Entry>(i);
  }
}

uint64_t PrefixCache::HashOf(const Key& key) const {
  uint64_t hash = 0;
  if (key.parent != kNone) {
    hash = nodes_[key.parent].hash;
  } else {
    for (const char digit : *key.tenant) {
      hash = Mix(hash, static_cast<uint64_t>(digit));
    }
  }
  for (const TokenId token : key.tokens) {
    hash = Mix(hash, static_cast<uint64_t>(token));
  }
  return hash;
}

bool PrefixCache::IsAt(Entry entry, const Key& key) const {
  const Node& node = nodes_[entry];
  return node.parent == key.parent && node.tenant == *key.tenant &&
         std::equal(key.tokens.begin(), key.tokens.end(),
                    tokens_.data() + int64_t{entry} * kKvPageTokens);
}

PrefixCache::Entry PrefixCache::Find(const Key& key) const {
  TANDEM_CHECK(key.tokens.size() == kKvPageTokens);
  Entry entry = buckets_[HashOf(key) & bucket_mask_];
  while (entry != kNone && !IsAt(entry, key)) entry = nodes_[entry].next;
  return entry;
}

PrefixCache::Entry PrefixCache::Add(const Key& key,
                                    absl::Span<const int32_t> slices) {
  TANDEM_CHECK(free_ != kNone && Find(key) == kNone);
  TANDEM_CHECK(static_cast<int64_t>(slices.size()) == slices_per_page_);
  const Entry entry = free_;
  Node& node = nodes_[entry];
  free_ = node.next;
  const uint64_t hash = HashOf(key);
  Entry& first = BucketOf(hash);
  node = {.hash = hash,
          .parent = key.parent,
          .next = first,
          .users = 1,
          .tenant = *key.tenant};
  first = entry;
  std::copy(key.tokens.begin(), key.tokens.end(),
            tokens_.data() + int64_t{entry} * kKvPageTokens);
  std::copy(slices.begin(), slices.end(),
            slices_.begin() + entry * slices_per_page_);
  if (key.parent != kNone) {
    TANDEM_CHECK(nodes_[key.parent].users > 0);
    ++nodes_[key.parent].children;
  }
  return entry;
}

void PrefixCache::Use(Entry entry) {
  if (nodes_[entry].users++ == 0) RemoveFromUnused(entry);
}

void PrefixCache::Release(Entry entry) {
  Node& node = nodes_[entry];
  TANDEM_CHECK(node.users > 0);
  if (--node.users > 0) return;
  node.older = newest_;
  node.newer = kNone;
  (newest_ == kNone ? oldest_ : nodes_[newest_].newer) = entry;
  newest_ = entry;
  ++unused_;
}

void PrefixCache::RemoveFromUnused(Entry entry) {
  const Node& node = nodes_[entry];
  (node.older == kNone ? oldest_ : nodes_[node.older].newer) = node.newer;
  (node.newer == kNone ? newest_ : nodes_[node.newer].older) = node.older;
  --unused_;
}

absl::Span<const int32_t> PrefixCache::Evict() {
  const Entry entry = oldest_;
  TANDEM_CHECK(entry != kNone && nodes_[entry].children == 0);
  RemoveFromUnused(entry);
  Node& node = nodes_[entry];
  Entry* at = &BucketOf(node.hash);
  while (*at != entry) at = &nodes_[*at].next;
  *at = node.next;
  if (node.parent != kNone) --nodes_[node.parent].children;
  node.next = free_;
  free_ = entry;
  return slices(entry);
}

}  // namespace tandem
