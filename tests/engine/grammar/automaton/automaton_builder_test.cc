#include "engine/grammar/automaton/automaton_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/grammar/automaton/grammar_builder.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(GrammarBuilder* builder, RuleId root) {
  const auto grammar = builder->Build(root);
  EXPECT_EQ(grammar.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(grammar.status().message());
}

TEST(AutomatonBuilderTest, RepetitionsMatchAtTheirBounds) {
  for (const Bounds bounds :
       {Bounds{0, 0}, Bounds{0, 3}, Bounds{2, 5}, Bounds{3, kUnbounded},
        Bounds{0, 40}, Bounds{35, 60}, Bounds{50, kUnbounded}}) {
    GrammarBuilder b;
    const Grammar grammar = GrammarOf(
        &b, b.Sequence({b.Repeat(b.Literal("ab"), bounds), b.Literal(".")}));
    std::string text;
    for (uint32_t times = 0; times < 70; ++times) {
      EXPECT_EQ(Matches(grammar, text + "."),
                bounds.least <= times && times <= bounds.most)
          << bounds.least << " " << bounds.most << " " << times;
      text += "ab";
    }
  }
}

TEST(AutomatonBuilderTest, CountsTakeNoStates) {
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(
      &b, b.Repeat(b.Repeat(b.Literal("ab"), {.least = 7, .most = 500'000}),
                   {.least = 1000, .most = 1'000'000}));
  EXPECT_LT(grammar.states.size(), 20u);
}

TEST(AutomatonBuilderTest, SmallRulesAreCompiledInPlace) {
  GrammarBuilder b;
  const RuleId digit = b.AddRule("digit");
  const RuleId number = b.AddRule("number");
  b.SetBody(digit, b.Chars(CharSet({{.first = '0', .last = '9'}})));
  b.SetBody(number, b.Repeat(b.Call(digit), {.least = 1, .most = kUnbounded}));
  EXPECT_EQ(GrammarOf(&b, b.Call(number)).rules.size(), 1u);
}

TEST(AutomatonBuilderTest, EveryWayCanBeCompleted) {
  GrammarBuilder b;
  const RuleId endless = b.AddRule("endless");
  b.SetBody(endless, b.Sequence({b.Literal("x"), b.Call(endless)}));
  const Grammar grammar = GrammarOf(
      &b, b.OneOf({b.Sequence({b.Literal("ab"), b.Call(endless)}),
                   b.Sequence({b.Literal("ac"), b.Never()}), b.Literal("ad")}));
  EXPECT_TRUE(MatchesPrefix(grammar, "a"));
  EXPECT_FALSE(MatchesPrefix(grammar, "ab"));
  EXPECT_FALSE(MatchesPrefix(grammar, "ac"));
  EXPECT_TRUE(Matches(grammar, "ad"));
}

TEST(AutomatonBuilderTest, RoundsThatCanNotEndAreNone) {
  GrammarBuilder b;
  const ExprId never = b.Sequence({b.Literal("abc"), b.Never()});
  const ExprId inner = b.Repeat(never, {.least = 20, .most = 90});
  const Grammar grammar = GrammarOf(
      &b, b.Sequence({b.Literal("<"), b.Repeat(never, {.most = 90}),
                      b.Repeat(b.OneOf({inner, b.Literal("long enough")}),
                               {.least = 2, .most = 50}),
                      b.Literal(">")}));
  EXPECT_TRUE(Matches(grammar, "<long enoughlong enough>"));
  EXPECT_FALSE(MatchesPrefix(grammar, "<a"));
}

TEST(AutomatonBuilderTest, WhatNothingMatchesIsNamed) {
  GrammarBuilder b;
  const RuleId good = b.AddRule("good");
  const RuleId bad = b.AddRule("bad");
  const RuleId root = b.AddRule("root");
  b.SetBody(good, b.Literal(std::string(40, 'x')));
  b.SetBody(bad, b.Sequence({b.Call(good), b.Call(bad)}));
  b.SetBody(root, b.Sequence({b.Call(good), b.Call(bad), b.Call(good)}));
  EXPECT_THAT(ErrorOf(&b, root), HasSubstr("bad: nothing matches"));
}

TEST(AutomatonBuilderTest, LeftRecursionIsNamed) {
  GrammarBuilder b;
  const RuleId list = b.AddRule("list");
  const RuleId item = b.AddRule("item");
  const ExprId maybe = b.Optional(b.Literal(std::string(40, 'y')));
  b.SetBody(item, b.OneOf({b.Sequence({maybe, b.Call(list), b.Literal("x")}),
                           b.Literal("z")}));
  b.SetBody(list, b.Sequence({b.Call(item), b.Literal(",")}));
  EXPECT_THAT(ErrorOf(&b, list), HasSubstr(": left recursion"));
}

TEST(AutomatonBuilderTest, RecursionBehindSomethingIsNone) {
  GrammarBuilder b;
  const RuleId list = b.AddRule("list");
  b.SetBody(list, b.Sequence({b.Literal("("), b.Optional(b.Call(list)),
                              b.Literal(")")}));
  const Grammar grammar = GrammarOf(&b, b.Call(list));
  EXPECT_TRUE(Matches(grammar, "((()))"));
  EXPECT_FALSE(Matches(grammar, "(()"));
}

TEST(AutomatonBuilderTest, WhatMayBeEmptyIsNotCounted) {
  GrammarBuilder b;
  const RuleId root = b.AddRule("root");
  b.SetBody(root, b.Repeat(b.Optional(b.Literal("abc")), {.most = 1000}));
  EXPECT_THAT(ErrorOf(&b, root), HasSubstr("may be empty"));
  // Unbounded, it needs no count.
  GrammarBuilder c;
  EXPECT_TRUE(
      Matches(GrammarOf(&c, c.Star(c.Optional(c.Literal("ab")))), "abab"));
}

TEST(AutomatonBuilderTest, TooManyStatesAreAnError) {
  GrammarBuilder b;
  std::vector<ExprId> parts;
  for (size_t i = 0; i <= kGrammarStatesMax / 100; ++i) {
    parts.push_back(b.Literal(std::string(100, 'x')));
  }
  const RuleId root = b.AddRule("root");
  b.SetBody(root, b.Sequence(std::move(parts)));
  EXPECT_THAT(ErrorOf(&b, root), HasSubstr("65536 states"));
}

TEST(AutomatonBuilderTest, BytesOfOneClassTakeTheSameEdges) {
  GrammarBuilder b;
  const Grammar grammar =
      GrammarOf(&b, b.OneOf({b.Chars(CharSet({{.first = 'a', .last = 'f'}})),
                             b.Literal("cd")}));
  EXPECT_EQ(grammar.class_of['a'], grammar.class_of['b']);
  EXPECT_NE(grammar.class_of['b'], grammar.class_of['c']);
  EXPECT_EQ(grammar.class_of['e'], grammar.class_of['f']);
  EXPECT_NE(grammar.class_of['f'], grammar.class_of['g']);
  EXPECT_EQ(grammar.classes, 1 + *std::max_element(grammar.class_of.begin(),
                                                   grammar.class_of.end()));
}

}  // namespace
}  // namespace tandem
