#include "engine/grammar/syntax/regex_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

Grammar GrammarOfRegex(const std::string& pattern,
                       RegexMatch match = RegexMatch::kWhole) {
  GrammarBuilder builder;
  const auto expr = ParseRegex(pattern, match, &builder);
  EXPECT_TRUE(expr.ok()) << pattern << " " << expr.status();
  return expr.ok() ? GrammarOf(&builder, *expr) : Grammar();
}

std::string ErrorOf(const std::string& pattern) {
  GrammarBuilder builder;
  const auto expr = ParseRegex(pattern, RegexMatch::kWhole, &builder);
  EXPECT_EQ(expr.status().code(), absl::StatusCode::kInvalidArgument)
      << pattern;
  return std::string(expr.status().message());
}

// All texts of `letters` up to `length`.
std::vector<std::string> AllTexts(const std::string& letters, size_t length) {
  std::vector<std::string> texts = {""};
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].size() == length) break;
    for (const char letter : letters) texts.push_back(texts[i] + letter);
  }
  return texts;
}

TEST(RegexParserTest, MatchesAsTheStandardLibraryDoes) {
  // The grammar of ECMA-262, in both.
  const std::vector<std::string> patterns = {
      "",        "a",           "abc",          "a|b|",       "a*",
      "(ab)+c?", "(?:a|bc)*",   "[ab]{2,3}",    "[^a]{1,2}",  "a{2}",
      "a{1,}b",  "(a|b)*?c",    "a+?b",         "a??b",       "(a*)*b",
      "(a|aa)+", "((a|b)c){2}", ".*b",          "a.c",        "^a|b$",
      "^ab$",    "\\w\\W?",     "\\d|\\D\\D",   "[\\w]a",     "[a-b]c",
      "[-a]",    "[a\\-c]+",    "\\x61\\u0062", "(a(b(c)))?", "[^\\d]",
      "[\\b]|a", "\\s\\S",      "a{0}b",        "(|a)(b|)"};
  for (const std::string& pattern : patterns) {
    const std::regex whole(pattern);
    const Grammar grammar = GrammarOfRegex(pattern);
    const Grammar search = GrammarOfRegex(pattern, RegexMatch::kSearch);
    for (const std::string& text : AllTexts("abc- 1\n", 4)) {
      ASSERT_EQ(Matches(search, text), std::regex_search(text, whole))
          << pattern << " in '" << text << "'";
      // std::regex_match takes ^ and $ as anchors, too.
      ASSERT_EQ(Matches(grammar, text), std::regex_match(text, whole))
          << pattern << " is '" << text << "'";
    }
  }
}

TEST(RegexParserTest, RandomExpressionsMatchAsTheStandardLibraryDoes) {
  std::mt19937_64 random(1);
  const std::vector<std::string> texts = AllTexts("abc", 5);
  const auto any = [&random](const std::vector<std::string>& of) {
    return of[random() % of.size()];
  };
  for (int round = 0; round < 150; ++round) {
    std::string pattern;
    int open = 0;
    for (int i = 0; i < 8; ++i) {
      if (random() % 4 == 0 && open < 2) {
        pattern += any({"(", "(?:"});
        ++open;
      }
      pattern += any({"a", "b", "c", "[ab]", "[^b]", "."});
      if (open > 0 && random() % 3 == 0) {
        pattern += ")";
        --open;
      }
      pattern += any({"", "", "", "*", "+", "?", "{2}", "{1,2}", "|"});
    }
    pattern += std::string(open, ')');
    const std::regex expected(pattern);
    const Grammar grammar = GrammarOfRegex(pattern);
    for (const std::string& text : texts) {
      ASSERT_EQ(Matches(grammar, text), std::regex_match(text, expected))
          << pattern << " " << text;
    }
  }
}

TEST(RegexParserTest, CharactersAreThoseOfUnicode) {
  const Grammar grammar = GrammarOfRegex("[\xC3\xA0-\xC3\xBC\\u{1F600}]+.");
  EXPECT_TRUE(Matches(grammar, "\xC3\xA9\xF0\x9F\x98\x80\xE2\x82\xAC"));
  EXPECT_FALSE(Matches(grammar, "\xC3\xA9\xE2\x80\xA8"));  // a line separator
  EXPECT_FALSE(Matches(grammar, "\xC3\xA9"));
  EXPECT_TRUE(Matches(GrammarOfRegex("\\uD83D\\uDE00"), "\xF0\x9F\x98\x80"));
  EXPECT_TRUE(Matches(GrammarOfRegex("\\cJ"), "\n"));
  EXPECT_TRUE(Matches(GrammarOfRegex("\\s"), "\xEF\xBB\xBF"));
}

TEST(RegexParserTest, WhatDiffersIsRefusedWithItsPlace) {
  const std::vector<std::pair<std::string, std::string>> errors = {
      {"a(?=b)", "character 2: lookaround"},
      {"a(?<!b)", "character 2: lookaround"},
      {"(?i:a)", "character 1: \"(?\""},
      {"(a)\\1", "character 4: references"},
      {"a\\b", "character 2: \\b"},
      {"\\p{L}", "character 1: this escape"},
      {"\\07", "character 1: octal"},
      {"a**", "character 3: nothing to repeat"},
      {"*a", "character 1: nothing to repeat"},
      {"a{2,1}", "character 2: the bounds"},
      {"a{x}", "character 2: \"{\" begins no"},
      {"a{2000000}", "character 2: repeats more"},
      {"(a", "character 1: \"(\" without"},
      {"a)", "character 2: \")\" without"},
      {"[a", "character 1: \"[\" without"},
      {"[b-a]", "character 2: a range"},
      {"[\\d-z]", "character 2: a range"},
      {"a]", "character 2: \"]\" stands alone"},
      {"a}", "character 2: \"}\" stands alone"},
      {"a$b", "character 2: an anchor"},
      {"(^a)", "character 2: an anchor"},
      {"\\", "character 1: this escape"},
      {"\\u12", "character 1: the escape names"},
      {"\\uD800", "character 1: the escape names"},
      {"\\u{110000}", "character 1: the escape names"},
      {"\\c1", "character 1: \\c needs"},
      {std::string(200, '('), "groups are nested deeper than 100"}};
  for (const auto& [pattern, error] : errors) {
    EXPECT_THAT(ErrorOf(pattern), HasSubstr(error));
  }
}

TEST(RegexParserTest, NestedCountsStaySmall) {
  const Grammar grammar = GrammarOfRegex("((((a{100}){100}){100}){100}){100}");
  EXPECT_LT(grammar.states.size(), 100u);
  EXPECT_TRUE(MatchesPrefix(grammar, std::string(500, 'a')));
}

}  // namespace
}  // namespace tandem
