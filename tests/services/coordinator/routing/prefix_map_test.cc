#include "services/coordinator/routing/prefix_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<TokenId> Tokens(int count, TokenId first = 0) {
  std::vector<TokenId> tokens(static_cast<size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

PrefixKey Key(const std::vector<TokenId>& tokens) {
  return {.tenant = "tenant", .fingerprint = "fp", .tokens = tokens};
}

PrefixHolder Holder(const std::string& worker, Position tokens) {
  return {.worker = worker, .tokens = tokens};
}

TEST(PrefixMapTest, FindsTheLongestFullBlocks) {
  PrefixMap map;
  const std::vector<TokenId> tokens = Tokens(200);
  map.Add(Key(tokens), "a");
  EXPECT_EQ(map.blocks(), 3u);
  EXPECT_THAT(map.Find(Key(Tokens(300))), ElementsAre(Holder("a", 192)));
  EXPECT_THAT(map.Find(Key(Tokens(130))), ElementsAre(Holder("a", 128)));
  EXPECT_THAT(map.Find(Key(Tokens(63))), IsEmpty());
  EXPECT_THAT(map.Find(Key(Tokens(200, 1))), IsEmpty());
  std::vector<TokenId> forked = Tokens(200);
  forked[100] = 7;
  EXPECT_THAT(map.Find(Key(forked)), ElementsAre(Holder("a", 64)));
}

TEST(PrefixMapTest, KeepsTenantsAndModelsApart) {
  PrefixMap map;
  const std::vector<TokenId> tokens = Tokens(64);
  map.Add(Key(tokens), "a");
  PrefixKey other = Key(tokens);
  other.tenant = "other";
  EXPECT_THAT(map.Find(other), IsEmpty());
  other = Key(tokens);
  other.fingerprint = "other";
  EXPECT_THAT(map.Find(other), IsEmpty());
  // What belongs to which field counts.
  other.tenant = "tenantf";
  other.fingerprint = "p";
  EXPECT_THAT(map.Find(other), IsEmpty());
}

TEST(PrefixMapTest, NamesTheWorkersWithTheMostFirst) {
  PrefixMap map;
  map.Add(Key(Tokens(64)), "a");
  map.Add(Key(Tokens(192)), "b");
  map.Add(Key(Tokens(128)), "c");
  EXPECT_THAT(map.Find(Key(Tokens(192))),
              ElementsAre(Holder("b", 192), Holder("c", 128), Holder("a", 64)));
  // A fifth replaces the one that had it first.
  for (const char* worker : {"d", "e"}) map.Add(Key(Tokens(64)), worker);
  EXPECT_THAT(map.Find(Key(Tokens(64))),
              ElementsAre(Holder("e", 64), Holder("d", 64), Holder("c", 64),
                          Holder("b", 64)));
}

TEST(PrefixMapTest, ForgetsWhatWasNotUsedForLongest) {
  PrefixMap map(/*blocks_max=*/4);
  map.Add(Key(Tokens(128, 1000)), "a");
  map.Add(Key(Tokens(128, 2000)), "b");
  map.Add(Key(Tokens(128, 1000)), "a");
  // Of the two of "b" the later one goes.
  map.Add(Key(Tokens(64, 3000)), "c");
  EXPECT_EQ(map.blocks(), 4u);
  EXPECT_THAT(map.Find(Key(Tokens(128, 1000))), ElementsAre(Holder("a", 128)));
  EXPECT_THAT(map.Find(Key(Tokens(128, 2000))), ElementsAre(Holder("b", 64)));
  // A sequence of more blocks than there may be.
  map.Add(Key(Tokens(640, 4000)), "d");
  EXPECT_THAT(map.Find(Key(Tokens(640, 4000))), ElementsAre(Holder("d", 256)));
}

TEST(PrefixMapTest, BeginsAnewAfterVeryManyWorkers) {
  PrefixMap map;
  for (size_t i = 0; i < PrefixMap::kWorkerNamesMax; ++i) {
    map.Add(Key(Tokens(64)), absl::StrCat("w", i));
  }
  map.Add(Key(Tokens(64)), "last");
  EXPECT_THAT(map.Find(Key(Tokens(64))), ElementsAre(Holder("last", 64)));
}

}  // namespace
}  // namespace tandem
