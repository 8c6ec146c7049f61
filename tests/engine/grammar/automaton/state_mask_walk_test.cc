#include "engine/grammar/automaton/state_mask_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/grammar/automaton/grammar_builder.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr TokenId kFirst = 256;

// The state of `grammar` that reads `byte` in a rule that is not the root.
StateId StateThatReads(const Grammar& grammar, uint8_t byte) {
  for (StateId id = 0; id < grammar.states.size(); ++id) {
    const GrammarState& state = grammar.states[id];
    if (state.rule == grammar.root) continue;
    for (const ByteEdge& edge : grammar.BytesOf(state)) {
      if (edge.first <= byte && byte <= edge.last) return id;
    }
  }
  ADD_FAILURE();
  return 0;
}

StateMask MaskAt(const Grammar& grammar, const TokenTrie& trie, uint8_t byte) {
  GrammarParser parser(&grammar);
  return StateMaskWalk(&parser, &trie).Run(StateThatReads(grammar, byte));
}

TEST(StateMaskWalkTest, SplitsWhatDependsOnCallersFromWhatDoesNot) {
  const auto trie =
      ByteTrie({"yy", "yz", "y;", "yz;", "yz,", "yz,;", "yz.", "yz;q", "yz,q"});
  GrammarBuilder b;
  const RuleId word = b.AddRule("word");
  b.SetBody(word, b.Sequence({b.Literal(std::string(30, 'x')),
                              b.Star(b.Literal("y")), b.Literal("z")}));
  const Grammar grammar =
      GrammarOf(&b, b.Sequence({b.Call(word), b.Literals({";", ";;"}),
                                b.Call(word), b.Literal(",")}));
  const StateMask mask = MaskAt(grammar, *trie, 'y');
  // Whoever called: y, yy and yz.
  EXPECT_THAT(mask.tokens, UnorderedElementsAre('y', kFirst, kFirst + 1));
  // By caller: what may follow one of the two calls.
  ASSERT_EQ(mask.rests.size(), 2u);
  EXPECT_EQ(mask.rests[0].bytes, ",");
  EXPECT_THAT(mask.rests[0].tokens, ElementsAre(kFirst + 4));
  EXPECT_EQ(mask.rests[1].bytes, ";");
  EXPECT_THAT(mask.rests[1].tokens, ElementsAre(kFirst + 3));
}

TEST(StateMaskWalkTest, CountedRulesKeepTheRoundsOfEachToken) {
  const auto trie = ByteTrie({"yy", "yyy", "yy;"});
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(
      &b, b.Sequence({b.Repeat(b.Literal("y"), {.least = 2, .most = 500}),
                      b.Literal(";")}));
  const StateMask mask = MaskAt(grammar, *trie, 'y');
  // The first y ends a round that has begun.
  ASSERT_EQ(mask.levels.size(), 3u);
  EXPECT_EQ(mask.levels[0].rounds, 0u);
  EXPECT_EQ(mask.levels[2].rounds, 2u);
  EXPECT_THAT(mask.tokens, ElementsAre('y', kFirst, kFirst + 1));
  ASSERT_EQ(mask.rests.size(), 1u);
  EXPECT_EQ(mask.rests[0].bytes, ";");
  EXPECT_EQ(mask.rests[0].rounds, 1u);
  EXPECT_THAT(mask.rests[0].tokens, ElementsAre(kFirst + 2));
}

TEST(StateMaskWalkTest, GivesUpWhereTooMuchIsPossible) {
  // 1,300 ways to read each of 60,000 tokens.
  std::vector<std::string> tokens;
  for (int i = 0; i < 60'000; ++i) {
    tokens.push_back("aaaa" + std::to_string(i));
  }
  const auto trie = ByteTrie(tokens);
  GrammarBuilder b;
  std::vector<ExprId> ways;
  const ExprId any = b.Chars(CharSet({{.first = '0', .last = 'z'}}));
  for (int i = 0; i < 1300; ++i) {
    ways.push_back(b.Sequence({any, b.Star(any)}));
  }
  const Grammar grammar = GrammarOf(
      &b, b.Sequence({b.Literal("x"), any, b.OneOf(std::move(ways))}));
  GrammarParser parser(&grammar);
  const SetId set = parser.Step(parser.Start(), 'x');
  ASSERT_FALSE(parser.set(set).items.empty());
  StateMaskWalk walk(&parser, trie.get());
  EXPECT_TRUE(walk.Run(parser.set(set).items[0].state).is_too_complex);
}

}  // namespace
}  // namespace tandem
