#include "engine/tokenizer/bpe_merger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace tandem {
namespace {

struct PlainMerge {
  TokenId left;
  TokenId right;
  TokenId merged;
};

// One merge at a time, found by looking at all: what Merge must give.
std::vector<TokenId> MergePlainly(const std::vector<PlainMerge>& merges,
                                  std::vector<TokenId> word) {
  while (true) {
    size_t best = word.size();
    size_t best_rank = merges.size();
    for (size_t i = 0; i + 1 < word.size(); ++i) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left != word[i]) continue;
        if (merges[rank].right != word[i + 1]) continue;
        best = i;
        best_rank = rank;
      }
    }
    if (best == word.size()) return word;
    word[best] = merges[best_rank].merged;
    word.erase(word.begin() + static_cast<int64_t>(best) + 1);
  }
}

BpeMerges TableOf(const std::vector<PlainMerge>& merges) {
  BpeMerges table;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    EXPECT_TRUE(table.Add(
        merges[rank].left, merges[rank].right,
        {.rank = static_cast<uint32_t>(rank), .merged = merges[rank].merged}));
  }
  return table;
}

TEST(BpeMergerTest, MergesAsThePlainAlgorithmDoes) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    // Three letters, and merges of what is there already.
    std::vector<PlainMerge> merges;
    TokenId tokens = 3;
    while (merges.size() < 12) {
      const auto left = static_cast<TokenId>(random() % tokens);
      const auto right = static_cast<TokenId>(random() % tokens);
      bool is_new = true;
      for (const PlainMerge& merge : merges) {
        is_new &= merge.left != left || merge.right != right;
      }
      if (is_new) merges.push_back({left, right, tokens++});
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const BpeMerges table = TableOf(merges);
    BpeMerger merger(&table);
    for (int i = 0; i < 20; ++i) {
      std::vector<TokenId> word;
      for (uint64_t n = random() % 40; n > 0; --n) {
        word.push_back(static_cast<TokenId>(random() % 3));
      }
      std::vector<TokenId> ids = {99};
      merger.Merge(word, &ids);
      EXPECT_EQ(ids[0], 99);
      ids.erase(ids.begin());
      ASSERT_EQ(ids, MergePlainly(merges, word));
    }
  }
}

TEST(BpeMergerTest, ALongWordTakesStepsInProportion) {
  // a, aa, aaaa, ...: every merge that a word of one letter can have.
  std::vector<PlainMerge> merges;
  for (TokenId id = 0; id < 20; ++id) merges.push_back({id, id, id + 1});
  const BpeMerges table = TableOf(merges);
  for (const size_t size : {1000u, 10000u, 1000000u}) {
    BpeMerger merger(&table);
    std::vector<TokenId> ids;
    merger.Merge(std::vector<TokenId>(size, 0), &ids);
    EXPECT_LE(merger.steps(), 3 * size);
    EXPECT_LT(ids.size(), 20 + size / 1000000 * 20);
  }
}

TEST(BpeMergerTest, FindsWhatWasAdded) {
  BpeMerges table;
  EXPECT_EQ(table.Find(1, 2), nullptr);
  EXPECT_TRUE(table.Add(1, 2, {.rank = 7, .merged = 3}));
  EXPECT_FALSE(table.Add(1, 2, {.rank = 8, .merged = 4}));
  ASSERT_NE(table.Find(1, 2), nullptr);
  EXPECT_EQ(table.Find(1, 2)->rank, 7u);
  EXPECT_EQ(table.Find(1, 2)->merged, 3);
  EXPECT_EQ(table.Find(2, 1), nullptr);
}

TEST(BpeMergerTest, TakesEmptyAndSingleWords) {
  const BpeMerges table = TableOf({{0, 0, 1}});
  BpeMerger merger(&table);
  std::vector<TokenId> ids;
  merger.Merge({}, &ids);
  EXPECT_TRUE(ids.empty());
  merger.Merge({0}, &ids);
  EXPECT_EQ(ids, std::vector<TokenId>{0});
}

}  // namespace
}  // namespace tandem
