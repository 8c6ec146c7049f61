#include "engine/model/prefix_cache.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/kernels/kernel_table.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using Entry = PrefixCache::Entry;

std::vector<TokenId> Page(TokenId token) {
  return std::vector<TokenId>(kKvPageTokens, token);
}

struct Keys {
  TenantDigest alice = DigestOfTenant("alice");
  TenantDigest bob = DigestOfTenant("bob");
  TenantDigest nobody = DigestOfTenant("");
};

TEST(PrefixCacheTest, TenantsDigestsDiffer) {
  const Keys keys;
  EXPECT_NE(keys.alice, keys.bob);
  EXPECT_NE(keys.alice, keys.nobody);
  EXPECT_EQ(keys.alice, DigestOfTenant("alice"));
}

// With one bucket everything collides.
TEST(PrefixCacheTest, FindsByTokensParentAndTenant) {
  for (const int64_t buckets : {0, 1}) {
    const Keys keys;
    PrefixCache cache({.entries = 8, .buckets = buckets});
    const std::vector<TokenId> a = Page(5);
    std::vector<TokenId> b = Page(5);
    b.back() = 6;
    const int32_t slices[] = {10, 11, 12};
    const auto key = [&](Entry parent, const TenantDigest& tenant,
                         const std::vector<TokenId>& tokens) {
      return PrefixCache::Key{
          .parent = parent, .tenant = &tenant, .tokens = tokens};
    };
    const Entry first =
        cache.Add(key(PrefixCache::kNone, keys.alice, a), {&slices[0], 1});
    EXPECT_EQ(cache.Find(key(PrefixCache::kNone, keys.alice, a)), first);
    EXPECT_EQ(cache.Find(key(PrefixCache::kNone, keys.alice, b)),
              PrefixCache::kNone);
    EXPECT_EQ(cache.Find(key(PrefixCache::kNone, keys.bob, a)),
              PrefixCache::kNone);
    EXPECT_EQ(cache.Find(key(first, keys.alice, a)), PrefixCache::kNone);
    // The same tokens after others are another page.
    const Entry second = cache.Add(key(first, keys.alice, a), {&slices[1], 1});
    const Entry other =
        cache.Add(key(PrefixCache::kNone, keys.alice, b), {&slices[2], 1});
    EXPECT_EQ(cache.Find(key(first, keys.alice, a)), second);
    EXPECT_EQ(cache.Find(key(other, keys.alice, a)), PrefixCache::kNone);
    EXPECT_EQ(cache.parent(second), first);
    EXPECT_EQ(cache.slices(second)[0], 11);
  }
}

TEST(PrefixCacheTest, EvictsWhatWasLetGoFirstAndNothingInUse) {
  const Keys keys;
  PrefixCache cache({.entries = 4, .slices_per_page = 2});
  const std::vector<TokenId> pages[] = {Page(1), Page(2), Page(3)};
  Entry entries[3];
  Entry parent = PrefixCache::kNone;
  for (int32_t i = 0; i < 3; ++i) {
    const int32_t slices[] = {2 * i, 2 * i + 1};
    entries[i] = cache.Add(
        {.parent = parent, .tenant = &keys.alice, .tokens = pages[i]}, slices);
    parent = entries[i];
  }
  EXPECT_EQ(cache.unused(), 0);
  for (int i = 2; i >= 0; --i) cache.Release(entries[i]);
  EXPECT_EQ(cache.unused(), 3);
  // The first two are used again: the last one is the only one to go.
  cache.Use(entries[0]);
  cache.Use(entries[1]);
  EXPECT_EQ(cache.unused(), 1);
  EXPECT_EQ(cache.Evict()[0], 4);
  EXPECT_EQ(cache.unused(), 0);
  EXPECT_EQ(
      cache.Find(
          {.parent = entries[1], .tenant = &keys.alice, .tokens = pages[2]}),
      PrefixCache::kNone);
  // Two users: it stays until both are gone.
  cache.Use(entries[0]);
  cache.Release(entries[1]);
  cache.Release(entries[0]);
  EXPECT_EQ(cache.unused(), 1);
  cache.Release(entries[0]);
  EXPECT_EQ(cache.Evict()[1], 3);
  EXPECT_EQ(cache.Evict()[1], 1);
  EXPECT_EQ(cache.unused(), 0);
}

// Random chains against a map from (tenant, all tokens) to slices.
TEST(PrefixCacheTest, IsAMapOfTokensUnderRandomUse) {
  for (const int64_t buckets : {0, 1}) {
    constexpr int64_t kEntries = 40;
    TinyRandom random(11);
    const TenantDigest tenants[] = {DigestOfTenant("a"), DigestOfTenant("b")};
    PrefixCache cache({.entries = kEntries, .buckets = buckets});
    std::map<std::pair<int64_t, std::vector<TokenId>>, int32_t> plain;
    std::map<int32_t, std::pair<int64_t, std::vector<TokenId>>> by_slice;
    int32_t next_slice = 0;
    std::vector<Entry> chains;  // last entries that are used
    for (int step = 0; step < 4000; ++step) {
      if (chains.size() > 5 || (!chains.empty() && random.Below(2) == 0)) {
        const int64_t gone = random.Below(chains.size());
        for (Entry entry = chains[gone]; entry != PrefixCache::kNone;) {
          const Entry parent = cache.parent(entry);
          cache.Release(entry);
          entry = parent;
        }
        chains.erase(chains.begin() + gone);
        continue;
      }
      const int64_t tenant = random.Below(2);
      std::vector<TokenId> tokens;
      Entry last = PrefixCache::kNone;
      for (int64_t left = 1 + random.Below(6); left > 0; --left) {
        const std::vector<TokenId> page =
            Page(static_cast<TokenId>(random.Below(3)));
        tokens.insert(tokens.end(), page.begin(), page.end());
        const PrefixCache::Key key = {
            .parent = last, .tenant = &tenants[tenant], .tokens = page};
        const Entry found = cache.Find(key);
        const auto wanted = plain.find({tenant, tokens});
        ASSERT_EQ(found != PrefixCache::kNone, wanted != plain.end());
        if (found != PrefixCache::kNone) {
          ASSERT_EQ(cache.slices(found)[0], wanted->second);
          cache.Use(found);
          last = found;
          continue;
        }
        if (static_cast<int64_t>(plain.size()) == kEntries) {
          ASSERT_GT(cache.unused(), 0);
          const int32_t slice = cache.Evict()[0];
          ASSERT_EQ(plain.erase(by_slice.at(slice)), 1u);
          by_slice.erase(slice);
        }
        last = cache.Add(key, {&next_slice, 1});
        plain[{tenant, tokens}] = next_slice;
        by_slice[next_slice++] = {tenant, tokens};
      }
      chains.push_back(last);
    }
  }
}

}  // namespace
}  // namespace tandem
