#include "engine/grammar/automaton/state_mask_walk.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tandem {
namespace {

// Above one token in this many the bits of a mask are kept too: adding a
// token alone costs as much as 16 words of bits.
constexpr size_t kTokensPerBits = 1024;

// Items that a walk may look at. A JSON string takes 1 M in a vocabulary of
// 128,000 tokens; this many take up to about 2 s.
constexpr size_t kWalkWorkMax = size_t{1} << 26;

// The fewest rounds of the open frame's rule that lead to `set`. Where the
// rule may be left, it may go on too, or all its rounds are through: the rounds
// must only not be too many.
uint32_t FewestRounds(const GrammarParser& parser, const ParseSet& set) {
  uint32_t fewest = set.left_after.empty()
                        ? std::numeric_limits<uint32_t>::max()
                        : set.left_after.front();
  for (const ParseItem& item : set.items) {
    fewest = std::min(fewest, item.frame == kOpenFrame
                                  ? item.rounds
                                  : parser.frame(item.frame).open_rounds);
  }
  return fewest;
}

}  // namespace

StateMask StateMaskWalk::Run(StateId state) {
  const Grammar& grammar = parser_->grammar();
  rule_ = grammar.states[state].rule;
  is_counted_ = grammar.rules[rule_].is_counted;
  const std::vector<TokenTrie::Node>& nodes = trie_->nodes();
  std::vector<SetId> sets = {
      parser_->StartAt({.state = state, .frame = kOpenFrame})};
  for (uint32_t i = 0; i < nodes.size();) {
    ++steps_;
    const TokenTrie::Node& node = nodes[i];
    sets.resize(node.depth);
    const SetId next = parser_->Step(sets.back(), node.byte);
    if (next == kNoSet) {
      i = node.end;
      continue;
    }
    sets.push_back(next);
    const ParseSet& set = parser_->set(next);
    work_ += set.items.size();
    if (work_ > kWalkWorkMax) return {.is_too_complex = true};
    if (node.tokens_begin < node.tokens_end) TakeTokens(node, set);
    if (!set.left_after.empty() && node.end > i + 1) WalkRests(i, set);
    ++i;
  }
  return Finish();
}

void StateMaskWalk::TakeTokens(const TokenTrie::Node& node,
                               const ParseSet& set) {
  const uint32_t rounds = is_counted_ ? FewestRounds(*parser_, set) : 0;
  if (levels_.size() <= rounds) levels_.resize(rounds + 1);
  std::vector<TokenId>& level = levels_[rounds];
  for (uint32_t t = node.tokens_begin; t < node.tokens_end; ++t) {
    level.push_back(trie_->tokens()[t]);
  }
}

void StateMaskWalk::WalkRests(uint32_t node, const ParseSet& left) {
  const std::vector<TokenTrie::Node>& nodes = trie_->nodes();
  const size_t left_at = nodes[node].depth;
  std::vector<SetId> sets = {parser_->AfterAny(rule_)};
  for (uint32_t i = node + 1; i < nodes[node].end;) {
    ++steps_;
    sets.resize(nodes[i].depth - left_at);
    const SetId next = parser_->Step(sets.back(), nodes[i].byte);
    if (next == kNoSet) {
      i = nodes[i].end;
      continue;
    }
    sets.push_back(next);
    work_ += parser_->set(next).items.size();
    if (work_ > kWalkWorkMax) return;
    AddRest(nodes[i], left_at, left);
    ++i;
  }
}

void StateMaskWalk::AddRest(const TokenTrie::Node& node, size_t left_at,
                            const ParseSet& left) {
  if (node.tokens_begin == node.tokens_end) return;
  const absl::string_view text =
      trie_->text(trie_->tokens()[node.tokens_begin]);
  for (const uint32_t rounds : left.left_after) {
    std::vector<TokenId>& tokens =
        rests_[{is_counted_ ? rounds : 0, std::string(text.substr(left_at))}];
    for (uint32_t t = node.tokens_begin; t < node.tokens_end; ++t) {
      tokens.push_back(trie_->tokens()[t]);
    }
  }
}

StateMask StateMaskWalk::Finish() {
  StateMask mask;
  for (uint32_t rounds = 0; rounds < levels_.size(); ++rounds) {
    const std::vector<TokenId>& tokens = levels_[rounds];
    if (tokens.empty()) continue;
    mask.tokens.insert(mask.tokens.end(), tokens.begin(), tokens.end());
    mask.levels.push_back(
        {.rounds = rounds,
         .tokens_end = static_cast<uint32_t>(mask.tokens.size())});
  }
  const size_t vocab_size = trie_->vocab_size();
  std::vector<uint64_t> bits((vocab_size + 63) / 64, 0);
  for (const TokenId id : mask.tokens) bits[id / 64] |= uint64_t{1} << id % 64;
  for (auto& [key, tokens] : rests_) {
    if (!is_counted_) {
      // What is allowed in any case needs no second look.
      tokens.erase(std::remove_if(tokens.begin(), tokens.end(),
                                  [&bits](TokenId id) {
                                    return (bits[id / 64] >> id % 64 & 1) != 0;
                                  }),
                   tokens.end());
      if (tokens.empty()) continue;
    }
    mask.rests.push_back({.rounds = key.first,
                          .bytes = key.second,
                          .tokens = std::move(tokens)});
  }
  if (mask.tokens.size() > vocab_size / kTokensPerBits) {
    mask.bits = std::move(bits);
    const bool is_dense = mask.tokens.size() * sizeof(TokenId) >
                          mask.bits.size() * sizeof(uint64_t);
    if (is_dense && mask.levels.size() == 1) {
      mask.tokens = {};
    }
  }
  return mask;
}

}  // namespace tandem
