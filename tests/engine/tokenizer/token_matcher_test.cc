#include "engine/tokenizer/token_matcher.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace tandem {
namespace {

TEST(TokenMatcherTest, FindsTheLongest) {
  TokenMatcher matcher;
  matcher.Add("<x>a", 1);
  matcher.Add("<x>", 2);
  matcher.Add("\xff", 3);
  EXPECT_FALSE(matcher.Build().has_value());
  EXPECT_EQ(matcher.Longest("<x>ab"), 1);
  EXPECT_EQ(matcher.Longest("<x>b"), 2);
  EXPECT_EQ(matcher.Longest("<x>"), 2);
  EXPECT_EQ(matcher.Longest("<x"), std::nullopt);
  EXPECT_EQ(matcher.Longest("a<x>"), std::nullopt);
  EXPECT_EQ(matcher.Longest(""), std::nullopt);
  EXPECT_EQ(matcher.Longest("\xff\xff"), 3);
}

TEST(TokenMatcherTest, FindsByTextAndByPlace) {
  TokenMatcher matcher;
  EXPECT_TRUE(matcher.empty());
  EXPECT_EQ(matcher.NextStart("ab", 0), 2u);
  matcher.Add("ab", 4);
  matcher.Add("b", 5);
  matcher.Build();
  EXPECT_FALSE(matcher.empty());
  EXPECT_EQ(matcher.Find("ab"), 4);
  EXPECT_EQ(matcher.Find("a"), std::nullopt);
  EXPECT_EQ(matcher.Find("abc"), std::nullopt);
  const std::string text = "aab cb";
  EXPECT_EQ(matcher.NextStart(text, 0), 1u);
  EXPECT_EQ(matcher.NextStart(text, 2), 2u);
  EXPECT_EQ(matcher.NextStart(text, 3), 5u);
  EXPECT_EQ(matcher.NextStart(text, 6), 6u);
}

TEST(TokenMatcherTest, TellsTwoOfOneText) {
  TokenMatcher matcher;
  for (const TokenId id : {9, 7, 8}) matcher.Add("a", id);
  EXPECT_EQ(matcher.Build(), std::make_pair(7, 8));
  EXPECT_EQ(matcher.Longest("a"), 7);
}

}  // namespace
}  // namespace tandem
