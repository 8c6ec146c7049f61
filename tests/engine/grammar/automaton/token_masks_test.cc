#include "engine/grammar/automaton/token_masks.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "engine/grammar/automaton/grammar_builder.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

Grammar Letters() {
  GrammarBuilder b;
  return GrammarOf(&b, b.Star(b.Chars(CharSet::Any())));
}

StateId FirstStateWithBytes(const Grammar& grammar) {
  StateId id = 0;
  while (grammar.states[id].bytes_begin == grammar.states[id].bytes_end) ++id;
  return id;
}

TEST(TokenMasksTest, AMaskIsComputedOnce) {
  const TokenMasks masks(Letters(), ByteTrie({"hello"}));
  const StateId state = FirstStateWithBytes(masks.grammar());
  StateMask own;
  const StateMask* const first = &masks.Of(state, &own);
  EXPECT_NE(first, &own);
  EXPECT_EQ(&masks.Of(state, &own), first);
  EXPECT_EQ(masks.mask_words(), 5u);
  // All single bytes that begin a character, and the word; as bits only.
  EXPECT_EQ(IdsOf(first->bits).size(), 128u + 0xF5 - 0xC2 + 1);
  EXPECT_TRUE(first->tokens.empty());
}

TEST(TokenMasksTest, BeyondTheBoundMasksAreNotKept) {
  GrammarBuilder b;
  std::vector<ExprId> parts;
  for (const char* letter : {"a", "b", "c", "d"}) {
    parts.push_back(b.Literal(letter));
  }
  const Grammar grammar = GrammarOf(&b, b.Sequence(parts));
  const TokenMasks bounded(grammar, ByteTrie(), 2 * sizeof(StateMask) + 200);
  const TokenMasks whole(grammar, ByteTrie());
  size_t not_kept = 0;
  for (StateId id = 0; id < grammar.states.size(); ++id) {
    const GrammarState& state = grammar.states[id];
    if (state.bytes_begin == state.bytes_end) continue;
    StateMask own;
    StateMask unused;
    const StateMask& mask = bounded.Of(id, &own);
    EXPECT_EQ(mask.tokens, whole.Of(id, &unused).tokens);
    EXPECT_EQ(mask.bits, whole.Of(id, &unused).bits);
    if (&mask == &own) ++not_kept;
  }
  EXPECT_GE(not_kept, 1u);
  EXPECT_LE(not_kept, 3u);
}

TEST(TokenMasksTest, WarmComputesAheadAndStops) {
  const TokenMasks all(Letters(), ByteTrie());
  all.Warm(1'000'000);
  const TokenMasks none(Letters(), ByteTrie());
  none.Warm(0);
  const StateId state = FirstStateWithBytes(all.grammar());
  StateMask own;
  EXPECT_EQ(all.Of(state, &own).bits, none.Of(state, &own).bits);
}

TEST(TokenMasksTest, ThreadsShareMasks) {
  const TokenMasks masks(Letters(), ByteTrie());
  const StateId state = FirstStateWithBytes(masks.grammar());
  std::vector<const StateMask*> seen(4);
  std::vector<std::thread> threads;
  for (const StateMask*& own : seen) {
    threads.emplace_back([&masks, state, &own] {
      StateMask unused;
      own = &masks.Of(state, &unused);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const StateMask* own : seen) EXPECT_EQ(own, seen[0]);
}

}  // namespace
}  // namespace tandem
