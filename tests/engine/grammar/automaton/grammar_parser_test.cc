#include "engine/grammar/automaton/grammar_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/grammar/automaton/grammar_builder.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

SetId ReadAll(GrammarParser* parser, const std::string& text) {
  SetId set = parser->Start();
  for (const char c : text) set = parser->Step(set, static_cast<uint8_t>(c));
  return set;
}

// ( list ) with long brackets, so that it is not compiled in place.
Grammar Nested() {
  GrammarBuilder b;
  const RuleId list = b.AddRule("list");
  b.SetBody(list,
            b.Sequence({b.Literal("("), b.Star(b.Call(list)), b.Literal(")")}));
  return GrammarOf(&b, b.Call(list));
}

TEST(GrammarParserTest, EqualSetsAreMadeOnce) {
  const Grammar grammar = Nested();
  GrammarParser parser(&grammar);
  const SetId once = ReadAll(&parser, "(()");
  const size_t bytes = parser.bytes();
  EXPECT_EQ(ReadAll(&parser, "(()()()"), ReadAll(&parser, "(()()"));
  EXPECT_EQ(ReadAll(&parser, "(()()"), once);
  EXPECT_EQ(ReadAll(&parser, "(()()()()"), once);
  EXPECT_LE(parser.bytes(), bytes + 1000);
  EXPECT_EQ(ReadAll(&parser, "(]"), kNoSet);
}

TEST(GrammarParserTest, ListsThatCallThemselvesAtTheEndTakeNoDepth) {
  GrammarBuilder b;
  const RuleId list = b.AddRule("list");
  b.SetBody(list, b.Sequence({b.Literal("x"), b.Optional(b.Call(list))}));
  const Grammar grammar =
      GrammarOf(&b, b.Sequence({b.Call(list), b.Literal(".")}));
  GrammarParser parser(&grammar);
  ReadAll(&parser, std::string(10, 'x'));
  const size_t bytes = parser.bytes();
  const SetId set = ReadAll(&parser, std::string(100'000, 'x'));
  EXPECT_EQ(parser.bytes(), bytes);
  EXPECT_TRUE(parser.set(parser.Step(set, '.')).may_end);
}

TEST(GrammarParserTest, AnOpenFrameReportsThatItsRuleIsLeft) {
  const Grammar grammar = Nested();
  GrammarParser parser(&grammar);
  const StateId start = grammar.rules[grammar.root].start;
  StateId state = start;
  for (const CallEdge& call : grammar.CallsOf(grammar.states[start])) {
    state = grammar.rules[call.rule].start;
  }
  SetId set = parser.StartAt({.state = state, .frame = kOpenFrame});
  set = parser.Step(set, '(');
  EXPECT_THAT(parser.set(set).left_after, IsEmpty());
  set = parser.Step(set, ')');
  EXPECT_THAT(parser.set(set).left_after, ElementsAre(0));
  EXPECT_THAT(parser.set(set).items, IsEmpty());
  // Behind any call of the rule: another list, or the end of one.
  const SetId after = parser.AfterAny(grammar.states[state].rule);
  EXPECT_NE(parser.Step(after, '('), kNoSet);
  EXPECT_NE(parser.Step(after, ')'), kNoSet);
  EXPECT_EQ(parser.Step(after, 'x'), kNoSet);
}

TEST(GrammarParserTest, CopiedSetsGoOnAsTheOthers) {
  const Grammar grammar = Nested();
  GrammarParser parser(&grammar);
  const SetId set = ReadAll(&parser, "((()((");
  GrammarParser other(&grammar);
  SetId copy = other.CopySet(parser, set);
  for (int i = 0; i < 4; ++i) {
    EXPECT_FALSE(other.set(copy).may_end);
    copy = other.Step(copy, ')');
  }
  EXPECT_TRUE(other.set(copy).may_end);
  EXPECT_EQ(other.Step(copy, ')'), kNoSet);
}

TEST(GrammarParserTest, FramesOfAllCallersAreOne) {
  // Two ways to nest, told apart at the end alone.
  GrammarBuilder b;
  const RuleId s = b.AddRule("s");
  const RuleId left = b.AddRule("left");
  const RuleId right = b.AddRule("right");
  b.SetBody(left, b.Sequence({b.Literal("("), b.Call(s), b.Literal(")")}));
  b.SetBody(right, b.Sequence({b.Literal("("), b.Call(s), b.Literal("]")}));
  b.SetBody(s, b.OneOf({b.Call(left), b.Call(right), b.Literal("x")}));
  const Grammar grammar = GrammarOf(&b, b.Call(s));
  GrammarParser parser(&grammar);
  // 2^200 stacks, and a few items.
  SetId set = ReadAll(&parser, std::string(200, '('));
  EXPECT_LT(parser.set(set).items.size(), 10u);
  set = parser.Step(set, 'x');
  for (int i = 0; i < 200; ++i) {
    set = parser.Step(set, i % 3 == 0 ? ']' : ')');
  }
  EXPECT_TRUE(parser.set(set).may_end);
}

}  // namespace
}  // namespace tandem
