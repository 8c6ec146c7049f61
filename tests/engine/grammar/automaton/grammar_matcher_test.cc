#include "engine/grammar/automaton/grammar_matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/json/json_rules.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

CharSet Letters() { return CharSet({{.first = 'a', .last = 'z'}}); }

// {"name": <string of 1 to 5 characters>, "tags": [<up to 300 values>]}
Grammar SmallObject() {
  GrammarBuilder b;
  JsonRules json(&b);
  const ExprId name = b.Sequence(
      {b.Literal("\""), b.Repeat(json.AnyCharacter(), {.least = 1, .most = 5}),
       b.Literal("\"")});
  const ExprId tags = b.Sequence(
      {b.Literal("["), json.value(),
       b.Repeat(b.Sequence({json.Comma(), json.value()}), {.most = 299}),
       b.Literal("]")});
  return GrammarOf(
      &b, b.Sequence({b.Literal("{"), json.space(),
                      json.Member(b.Literal("\"name\""), name), json.Comma(),
                      json.Member(b.Literal("\"tags\""), tags), json.space(),
                      b.Literal("}")}));
}

Grammar AnyJson() {
  GrammarBuilder b;
  return GrammarOf(&b, JsonRules(&b).value());
}

// Words of letters, each character a rule of its own.
Grammar Words() {
  GrammarBuilder b;
  const RuleId word = b.AddRule("word");
  const RuleId words = b.AddRule("words");
  b.SetBody(word, b.Sequence({b.Chars(Letters()), b.Optional(b.Call(word))}));
  b.SetBody(words, b.Sequence({b.Call(word),
                               b.Optional(b.Sequence({b.Chars(CharSet::Of(' ')),
                                                      b.Call(words)}))}));
  return GrammarOf(&b, b.Call(words));
}

// a S S | a: very ambiguous.
Grammar Ambiguous() {
  GrammarBuilder b;
  const RuleId s = b.AddRule("s");
  b.SetBody(s, b.OneOf({b.Sequence({b.Literal("a"), b.Call(s), b.Call(s)}),
                        b.Literal("a")}));
  return GrammarOf(&b, b.Call(s));
}

// Counted rules within counted rules, with bodies that overlap.
Grammar Counts() {
  GrammarBuilder b;
  const ExprId word =
      b.Repeat(b.Literals({"a", "ab", "b"}), {.least = 2, .most = 40});
  return GrammarOf(&b, b.Repeat(b.Sequence({word, b.Literal(",")}),
                                {.least = 2, .most = 50}));
}

TEST(GrammarMatcherTest, MasksAreThoseOfTheOracleOnSmallVocabularies) {
  std::mt19937_64 random(1);
  const auto trie = ByteTrie(
      {"{\"",      "\":",      "\", \"",   "name", "tags\": [",   "]}",
       "]]",       "[[",       "\"a",      "ab",   "aba",         "abab,",
       "a,a",      "aa",       "aaaa",     "b,",   "hello world", " the",
       "12",       "1,",       "1.5e",     "true", "true,",       "\\u00",
       "\xC3\xA9", "\xE2\x82", "\x82\xAC", "\n  ", "\n\n",        "   ",
       "null]",    "],[",      "{}",       "{},",  "1]}",         "\"]}",
       "null]\n}"});
  for (const Grammar& grammar : {SmallObject(), AnyJson(), Words(), Counts()}) {
    ExpectMasksOfOracle(grammar, trie, /*texts=*/3, /*tokens=*/24, &random);
  }
  ExpectMasksOfOracle(Ambiguous(), trie, /*texts=*/3, /*tokens=*/6, &random);
}

TEST(GrammarMatcherTest, MasksAreThoseOfTheOracleOnWholeVocabularies) {
  const auto tokenizers = KnownTokenizers();
  if (tokenizers.empty()) GTEST_SKIP() << "no vocabularies beside the checkout";
  std::mt19937_64 random(2);
  for (const auto& tokenizer : tokenizers) {
    const auto trie = TrieOf(*tokenizer);
    for (const Grammar& grammar : {SmallObject(), AnyJson(), Counts()}) {
      ExpectMasksOfOracle(grammar, trie, /*texts=*/2, /*tokens=*/8, &random);
    }
  }
}

TEST(GrammarMatcherTest, EndsWhereTheGrammarDoes) {
  const auto trie = ByteTrie({"ab", "abc"});
  GrammarBuilder b;
  GrammarMatcher matcher =
      MatcherOf(GrammarOf(&b, b.Literals({"ab", "abc"})), trie);
  EXPECT_FALSE(matcher.may_end());
  EXPECT_THAT(AllowedTokens(matcher, *trie), ElementsAre('a', 256, 257));
  ASSERT_TRUE(matcher.Accept(256).ok());
  EXPECT_TRUE(matcher.may_end());
  EXPECT_FALSE(matcher.only_ends());
  EXPECT_THAT(AllowedTokens(matcher, *trie), ElementsAre('c'));
  ASSERT_TRUE(matcher.Accept('c').ok());
  EXPECT_TRUE(matcher.only_ends());
  EXPECT_THAT(AllowedTokens(matcher, *trie), IsEmpty());
}

TEST(GrammarMatcherTest, RefusesWhatTheMaskDoesAndStaysAsItWas) {
  const auto trie = ByteTrie({""});
  GrammarMatcher matcher = MatcherOf(AnyJson(), trie);
  ASSERT_TRUE(matcher.Accept('[').ok());
  EXPECT_EQ(matcher.Accept('}').code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(matcher.IsAllowed('}'));
  EXPECT_FALSE(matcher.IsAllowed(256));  // has no text
  EXPECT_EQ(matcher.length(), 1u);
  EXPECT_TRUE(matcher.Accept(']').ok());
}

TEST(GrammarMatcherTest, TruncateAndCopiesAreReplays) {
  const auto trie = ByteTrie({"[[", "]]", "1,"});
  const auto masks = std::make_shared<TokenMasks>(AnyJson(), trie);
  std::mt19937_64 random(3);
  GrammarMatcher matcher(masks);
  std::vector<TokenId> tokens;
  for (int round = 0; round < 500; ++round) {
    if (random() % 4 == 0) {
      const size_t length = random() % (tokens.size() + 1);
      tokens.resize(length);
      matcher.Truncate(length);
    }
    const GrammarMatcher before = matcher;
    const std::vector<TokenId> allowed = AllowedTokens(matcher, *trie);
    if (!allowed.empty()) {
      tokens.push_back(allowed[random() % allowed.size()]);
      ASSERT_TRUE(matcher.Accept(tokens.back()).ok());
      EXPECT_EQ(AllowedTokens(before, *trie), allowed);
    }
    GrammarMatcher replay(masks);
    for (const TokenId token : tokens) ASSERT_TRUE(replay.Accept(token).ok());
    ASSERT_EQ(AllowedTokens(matcher, *trie), AllowedTokens(replay, *trie));
    ASSERT_EQ(matcher.may_end(), replay.may_end());
  }
}

TEST(GrammarMatcherTest, LongTextsDropOldSetsAndCanStillBeTakenBack) {
  const auto trie = ByteTrie();
  const auto masks = std::make_shared<TokenMasks>(AnyJson(), trie);
  GrammarMatcher matcher(masks);
  // Each level is a frame and some sets of its own.
  constexpr int kLevels = 9000;
  for (int i = 0; i < kLevels; ++i) ASSERT_TRUE(matcher.Accept('[').ok());
  for (int i = 0; i < kLevels - 1; ++i) ASSERT_TRUE(matcher.Accept(']').ok());
  EXPECT_FALSE(matcher.may_end());
  matcher.Truncate(kLevels + 5);
  for (int i = 5; i < kLevels - 1; ++i) ASSERT_TRUE(matcher.Accept(']').ok());
  EXPECT_FALSE(matcher.may_end());
  ASSERT_TRUE(matcher.Accept(']').ok());
  EXPECT_TRUE(matcher.only_ends());
}

TEST(GrammarMatcherTest, WhatNestsTooDeepIsAnErrorAndNoEnd) {
  const auto trie = ByteTrie();
  GrammarMatcher matcher = MatcherOf(AnyJson(), trie);
  absl::Status status;
  size_t levels = 0;
  while (status.ok() && levels < 3 * kParseDepthMax) {
    status = matcher.Accept('[');
    if (status.ok()) ++levels;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << levels;
  EXPECT_EQ(matcher.length(), levels);
}

TEST(GrammarMatcherTest, WhatIsTooAmbiguousIsAnError) {
  const auto trie = ByteTrie();
  GrammarMatcher matcher = MatcherOf(Ambiguous(), trie);
  absl::Status status;
  for (int i = 0; i < 20000 && status.ok(); ++i) status = matcher.Accept('a');
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

TEST(GrammarMatcherTest, ForcedBytesAreWhatMustCome) {
  const auto trie = ByteTrie({"name", "na", "\"name", "\":"});
  GrammarMatcher matcher = MatcherOf(SmallObject(), trie);
  EXPECT_EQ(matcher.ForcedBytes(100), "{");
  ASSERT_TRUE(matcher.Accept('{').ok());
  EXPECT_EQ(matcher.ForcedBytes(100), "");  // white space may come
  ASSERT_TRUE(matcher.Accept('"').ok());
  EXPECT_EQ(matcher.ForcedBytes(100), "name\":");
  EXPECT_EQ(matcher.ForcedBytes(3), "nam");
  EXPECT_THAT(matcher.ForcedTokens(10), ElementsAre(256, 259));
  EXPECT_THAT(matcher.ForcedTokens(1), ElementsAre(256));
}

}  // namespace
}  // namespace tandem
