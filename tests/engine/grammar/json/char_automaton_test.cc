#include "engine/grammar/json/char_automaton.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/grammar/syntax/regex_parser.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

CharAutomaton AutomatonOf(const std::string& pattern) {
  GrammarBuilder builder;
  const auto expr = ParseRegex(pattern, RegexMatch::kWhole, &builder);
  EXPECT_TRUE(expr.ok()) << expr.status();
  auto automaton = CharAutomaton::Of(builder, *expr, builder.budget());
  EXPECT_TRUE(automaton.ok()) << automaton.status();
  return *std::move(automaton);
}

absl::StatusOr<CharAutomaton> Both(const CharAutomaton& a,
                                   const CharAutomaton& b) {
  WorkBudget budget;
  return CharAutomaton::Intersection(a, b, &budget);
}

bool Is(const CharAutomaton& automaton, const std::string& text) {
  return automaton.Matches(CodePointsOf(text));
}

TEST(CharAutomatonTest, MatchesWhatTheExpressionDoes) {
  const CharAutomaton automaton = AutomatonOf("(ab|a){2,3}\xC3\xA9*[^x]?");
  for (const char* text : {"aa", "aba", "ababab", "aa\xC3\xA9\xC3\xA9z"}) {
    EXPECT_TRUE(Is(automaton, text)) << text;
  }
  for (const char* text : {"", "a", "aax", "ab", "aazz"}) {
    EXPECT_FALSE(Is(automaton, text)) << text;
  }
}

TEST(CharAutomatonTest, IntersectionsMatchWhatBothDo) {
  const CharAutomaton letters = AutomatonOf("[a-c]*b[a-c]*");
  const CharAutomaton pairs = AutomatonOf("(?:..)*");
  const auto both = Both(letters, pairs);
  ASSERT_TRUE(both.ok());
  std::vector<std::string> texts = {""};
  for (size_t i = 0; i < texts.size() && texts[i].size() < 5; ++i) {
    for (const char c : {'a', 'b', 'd'}) texts.push_back(texts[i] + c);
  }
  for (const std::string& text : texts) {
    EXPECT_EQ(Is(*both, text), Is(letters, text) && Is(pairs, text)) << text;
  }
  EXPECT_FALSE(both->IsEmpty());
  EXPECT_TRUE(Both(letters, AutomatonOf("[^b]+"))->IsEmpty());
}

TEST(CharAutomatonTest, LengthsCountCharacters) {
  const CharAutomaton automaton =
      CharAutomaton::OfLength({.least = 2, .most = 3});
  EXPECT_FALSE(Is(automaton, "\xC3\xA9"));
  EXPECT_TRUE(Is(automaton, "\xC3\xA9\xF0\x9F\x98\x80"));
  EXPECT_TRUE(Is(automaton, "abc"));
  EXPECT_FALSE(Is(automaton, "abcd"));
  const CharAutomaton open =
      CharAutomaton::OfLength({.least = 2, .most = kUnbounded});
  EXPECT_FALSE(Is(open, "a"));
  EXPECT_TRUE(Is(open, std::string(100, 'a')));
}

TEST(CharAutomatonTest, TooManyStatesAreAnError) {
  GrammarBuilder builder;
  const auto expr = ParseRegex("a{5000}", RegexMatch::kWhole, &builder);
  EXPECT_FALSE(CharAutomaton::Of(builder, *expr, builder.budget()).ok());
  EXPECT_FALSE(
      Both(AutomatonOf("(a|b)*a(a|b){80}"), CharAutomaton::OfLength({0, 4000}))
          .ok());
}

TEST(CharAutomatonTest, WorkIsLimited) {
  // Each of 1,000 places may be followed by all behind it.
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a?";
  const CharAutomaton automaton = AutomatonOf(pattern);
  EXPECT_FALSE(Both(automaton, automaton).ok());
}

TEST(CharAutomatonTest, ExpressionsMatchTheSame) {
  const CharAutomaton automaton = AutomatonOf("(ab|c)+d?");
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(
      &b,
      automaton.ToExpr([&b](const CharSet& set) { return b.Chars(set); }, &b));
  EXPECT_TRUE(Matches(grammar, "abcabd"));
  EXPECT_FALSE(Matches(grammar, "abda"));
  EXPECT_FALSE(Matches(grammar, ""));
}

}  // namespace
}  // namespace tandem
