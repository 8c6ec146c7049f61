#include "engine/grammar/syntax/gbnf_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

Grammar GrammarOfGbnf(const std::string& text) {
  GrammarBuilder builder;
  const auto rule = ParseGbnf(text, &builder);
  EXPECT_TRUE(rule.ok()) << text << " " << rule.status();
  if (!rule.ok()) return Grammar();
  auto grammar = builder.Build(*rule);
  EXPECT_TRUE(grammar.ok()) << text << " " << grammar.status();
  return grammar.ok() ? *std::move(grammar) : Grammar();
}

std::string ErrorOf(const std::string& text) {
  GrammarBuilder builder;
  const auto rule = ParseGbnf(text, &builder);
  const absl::Status status =
      rule.ok() ? builder.Build(*rule).status() : rule.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(GbnfParserTest, ReadsAGrammarOfExpressions) {
  const Grammar grammar = GrammarOfGbnf(R"gbnf(
# An expression a line.
root  ::= (expr "=" ws term "\n")+
expr  ::= term ([-+*/] term)*   # left to right
term  ::= ident | num | ("(" ws
          expr ")" ws)
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \t\n]*
)gbnf");
  EXPECT_TRUE(Matches(grammar, "a+1=2\n"));
  EXPECT_TRUE(Matches(grammar, "(a1 *((4)))=x\n1 =2 \n"));
  EXPECT_FALSE(Matches(grammar, "a+=2\n"));
  EXPECT_FALSE(Matches(grammar, "a=2"));
  EXPECT_FALSE(Matches(grammar, ""));
}

TEST(GbnfParserTest, ReadsEveryForm) {
  const std::vector<std::pair<std::string, std::pair<std::string, std::string>>>
      cases = {
          {"root ::= \"a\\x41\\u00e9\\U0001F600\\\"\\\\\"",
           {"aA\xC3\xA9\xF0\x9F\x98\x80\"\\", "a"}},
          {"root ::= [^a-c\\]x]{2}", {"dA", "da"}},
          {"root ::= [a-]+", {"a-a", "b"}},
          {"root ::= [\\x30-\\x39]", {"5", "a"}},
          {"root ::= \"a\" {2,3} \"b\" ?", {"aab", "ab"}},
          {"root ::= \"ab\"{2}", {"abab", "abb"}},
          {"root ::= \"a\"{2,}", {"aaa", "a"}},
          {"root ::= . .", {"\n\xE2\x82\xAC", "a"}},
          {"root ::= | \"a\"", {"", "b"}},
          {"root ::= \"a\" |\n \"b\"", {"b", "ab"}},
          {"root ::= (\"a\"\n \"b\")", {"ab", "a"}},
          {"root ::=\n \"a\"", {"a", ""}},
          {"a_b-1 ::= \"x\"\r\nroot ::= a_b-1", {"x", "y"}},
          {"root ::= later later\nlater ::= \"q\"+", {"qqq", "q"}},
      };
  for (const auto& [text, matches] : cases) {
    const Grammar grammar = GrammarOfGbnf(text);
    EXPECT_TRUE(Matches(grammar, matches.first)) << text;
    EXPECT_FALSE(Matches(grammar, matches.second)) << text;
  }
}

TEST(GbnfParserTest, ErrorsNameLineAndColumn) {
  const std::vector<std::pair<std::string, std::string>> errors = {
      {"", "line 1, column 1: there is no rule root"},
      {"a ::= \"b\"", "there is no rule root"},
      {"root ::= a\nb ::= c", "line 1, column 10: there is no rule a"},
      {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: the rule root is"},
      {"root = \"a\"", "line 1, column 6: expected ::="},
      {"\n  ::= \"a\"", "line 2, column 3: expected the name"},
      {"root ::= \"a", "line 1, column 10: no \" ends it"},
      {"root ::= [a", "line 1, column 10: no ] ends it"},
      {"root ::= [b-a]", "line 1, column 11: the range"},
      {"root ::= (\"a\"", "line 1, column 10: \"(\" without"},
      {"root ::= \"a\")", "line 1, column 13: expected the end of the line"},
      {"root ::= *", "line 1, column 10: nothing to repeat"},
      {"root ::= \"a\"{,2}", "line 1, column 13: expected {N}"},
      {"root ::= \"a\"{3,2}", "line 1, column 13: the bounds"},
      {"root ::= \"a\"{9999999}", "line 1, column 13: repeats"},
      {"root ::= \"\\q\"", "line 1, column 11: unknown escape"},
      {"root ::= \"\\u12\"", "line 1, column 11: the escape needs 4"},
      {"root ::= <think>", "line 1, column 10: tokens in a grammar"},
      {"root ::= 'a'", "line 1, column 10: expected a rule's name"},
      {"root ::= \"x\" e\ne ::= e \"+\" | \"x\"",
       "line 2, column 1: rule e: left recursion"},
      {"root ::= a\na ::= b? a \"y\" | \"x\"\nb ::= \"z\"",
       "line 2, column 1: rule a: left recursion"},
      {"root ::= \"x\" root", "rule root: nothing matches"},
      {"root ::= " + std::string(200, '('), "groups are nested deeper"}};
  for (const auto& [text, error] : errors) {
    EXPECT_THAT(ErrorOf(text), HasSubstr(error)) << text;
  }
}

TEST(GbnfParserTest, ManyRulesTakeLittleTime) {
  // Rules that call each other in a row, and all of them from the first.
  std::string text = "root ::= r0";
  for (int i = 1; i < 6000; ++i) absl::StrAppend(&text, "|r", i);
  absl::StrAppend(&text, "\n");
  for (int i = 0; i < 6000; ++i) {
    absl::StrAppend(&text, "r", i, " ::= \"a\" | \"b\" r", (i + 1) % 6000,
                    "\n");
  }
  GrammarOfGbnf(text);
}

}  // namespace
}  // namespace tandem
