// Computes the mask of one state: a walk over the trie of a vocabulary. One
// thread; lives for one state.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_STATE_MASK_WALK_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_STATE_MASK_WALK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/types.h"
#include "engine/grammar/automaton/grammar_parser.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/grammar/automaton/token_trie.h"

namespace tandem {

class StateMaskWalk {
 public:
  // Both outlive this. What `parser` has computed before makes it faster.
  StateMaskWalk(GrammarParser* parser, const TokenTrie* trie)
      : parser_(parser), trie_(trie) {}

  // The mask of a state that reads a byte. Called once.
  StateMask Run(StateId state);

  // Nodes of the trie that were visited.
  size_t steps() const { return steps_; }

 private:
  // The tokens end within the rule or just at its end.
  void TakeTokens(const TokenTrie::Node& node, const ParseSet& set);
  // The rule is left at `node`: its subtree with what may follow anywhere.
  void WalkRests(uint32_t node, const ParseSet& left);
  void AddRest(const TokenTrie::Node& node, size_t left_at,
               const ParseSet& left);
  StateMask Finish();

  GrammarParser* parser_;
  const TokenTrie* trie_;
  RuleId rule_ = 0;
  bool is_counted_ = false;
  size_t steps_ = 0;
  size_t work_ = 0;
  std::vector<std::vector<TokenId>> levels_;  // allowed tokens by rounds
  std::map<std::pair<uint32_t, std::string>, std::vector<TokenId>> rests_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_STATE_MASK_WALK_H_
