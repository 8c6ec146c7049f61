#include "engine/grammar/automaton/grammar_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(GrammarBuilderTest, ExpressionsMatchWhatTheySay) {
  GrammarBuilder b;
  const ExprId letter = b.Chars(CharSet({{.first = 'a', .last = 0xE9}}));
  const Grammar grammar = GrammarOf(
      &b, b.Sequence(
              {b.Literal("<"), b.Star(letter), b.Optional(b.Literal("!")),
               b.OneOf({b.Literals({"", ">", ">>"}), b.Never()}), b.Empty()}));
  for (const char* text : {"<", "<>", "<>>", "<\xC3\xA9z", "<!>", "<a!>>"}) {
    EXPECT_TRUE(Matches(grammar, text)) << text;
  }
  for (const char* text :
       {"", ">", "<>>>", "<!a", "<A>", "<\xC3", "<\xC3\xAA"}) {
    EXPECT_FALSE(Matches(grammar, text)) << text;
  }
}

TEST(GrammarBuilderTest, BytesMakeCharactersTogether) {
  GrammarBuilder b;
  const Grammar grammar =
      GrammarOf(&b, b.Sequence({b.Byte({.first = 0xC3, .last = 0xC4}),
                                b.Byte({.first = 0xA8, .last = 0xA9})}));
  EXPECT_TRUE(Matches(grammar, "\xC3\xA9"));
  EXPECT_TRUE(Matches(grammar, "\xC4\xA8"));
  EXPECT_FALSE(Matches(grammar, "\xC3\xAA"));
  EXPECT_FALSE(Matches(grammar, "\xC5\xA9"));
}

TEST(GrammarBuilderTest, GraphsMatchTheirPaths) {
  GrammarBuilder b;
  const ExprId a = b.Literal("a");
  const Grammar grammar =
      GrammarOf(&b, b.Graph(3, {{0, 1, a}, {1, 0, b.Literal("b")}, {1, 2, a}}));
  EXPECT_TRUE(Matches(grammar, "aa"));
  EXPECT_TRUE(Matches(grammar, "ababaa"));
  EXPECT_FALSE(Matches(grammar, "ab"));
  EXPECT_FALSE(Matches(grammar, "aba"));
}

TEST(GrammarBuilderTest, TooManyPartsAreAnError) {
  GrammarBuilder b;
  for (size_t i = 0; i <= kGrammarExprsMax; ++i) b.Literal("a");
  const RuleId root = b.AddRule("root");
  b.SetBody(root, b.Literal("a"));
  const auto grammar = b.Build(root);
  EXPECT_EQ(grammar.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(grammar.status().message()), HasSubstr("parts"));
}

}  // namespace
}  // namespace tandem
