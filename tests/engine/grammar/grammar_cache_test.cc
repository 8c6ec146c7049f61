#include "engine/grammar/grammar_cache.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

GrammarSource Choice(const std::string& text) {
  return {.kind = GrammarSource::Kind::kChoices, .choices = {text}};
}

TEST(GrammarCacheTest, KeepsTheGrammarsThatWereUsedLast) {
  GrammarCache cache(ByteTrie(), 2);
  const auto a = cache.Get(Choice("a"));
  const auto b = cache.Get(Choice("b"));
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(*cache.Get(Choice("a")), *a);
  ASSERT_TRUE(cache.Get(Choice("c")).ok());  // in the place of b
  EXPECT_EQ(*cache.Get(Choice("a")), *a);
  EXPECT_NE(*cache.Get(Choice("b")), *b);
}

TEST(GrammarCacheTest, GrammarsNameControlTokensOfTheVocabulary) {
  GrammarCache cache(ByteTrie({}, {"<call>"}), 1);
  const auto masks =
      cache.Get({.kind = GrammarSource::Kind::kTags,
                 .tags = {.tags = {{.begin = "<call>"}}, .trigger = "<call>"}});
  ASSERT_TRUE(masks.ok()) << masks.status();
  EXPECT_TRUE(GrammarMatcher(*masks).IsAllowed(256));
}

TEST(GrammarCacheTest, MasksOutliveTheCache) {
  std::shared_ptr<const TokenMasks> masks;
  {
    GrammarCache cache(ByteTrie(), 1);
    masks = *cache.Get(Choice("ab"));
  }
  EXPECT_EQ(masks->trie().vocab_size(), 256);
}

TEST(GrammarCacheTest, ErrorsAreNotKept) {
  GrammarCache cache(ByteTrie(), 1);
  EXPECT_FALSE(cache.Get(Choice("")).ok());
  EXPECT_FALSE(cache.Get(Choice("")).ok());
}

}  // namespace
}  // namespace tandem
