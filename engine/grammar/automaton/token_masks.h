// Which tokens a grammar allows in each of its states, for one vocabulary: the
// part of masks that does not depend on callers, computed once for each state.
// Thread safe; states are computed when they are first asked for.
//
// For a state and each token there are three cases. The token can be read
// within the state's rule and what it calls: it is allowed whoever called (in a
// counted rule: as long as enough rounds are left). Or it leaves the rule in
// its middle, and what is left of it can be read after some call of the rule:
// then the rest is tried with the callers that there are, once for all tokens
// with the same rest. Else it is never allowed. (The split is the one of
// XGrammar, Dong et al., arXiv 2411.15100, sections 3.1 and 3.2.)

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_MASKS_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_MASKS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/types.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/grammar_parser.h"
#include "engine/grammar/automaton/token_trie.h"

namespace tandem {

// Steps that Warm should make, so that no turn waits for masks of the common
// kind: those of strings take 0.6 M steps each for 128,000 tokens, all others
// of a schema 0.1 M together; 4 M take 40 ms.
inline constexpr size_t kWarmSteps = 4'000'000;
// Memory of one grammar's masks. A state where nearly all of 128,000 tokens are
// allowed takes 16 KiB, and 0.5 MiB where characters are counted; others take
// far less.
inline constexpr size_t kMaskBytesMax = 32 << 20;

// Tokens that are allowed after so many rounds of a counted rule, begun within
// the token; 0 in other rules.
struct MaskLevel {
  uint32_t rounds = 0;
  uint32_t tokens_end = 0;  // in StateMask::tokens
};

// Tokens that leave the rule and go on with the same bytes.
struct MaskRest {
  uint32_t rounds = 0;  // as above, when the rule is left
  std::string bytes;
  std::vector<TokenId> tokens;
};

struct StateMask {
  // By level; none where `bits` has the tokens of the only level.
  std::vector<TokenId> tokens = {};
  std::vector<MaskLevel> levels = {};  // ascending rounds
  std::vector<uint64_t> bits = {};     // of all levels, where tokens are many
  std::vector<MaskRest> rests = {};
  // The walk was given up: the grammar is too ambiguous here.
  bool is_too_complex = false;
};

class TokenMasks {
 public:
  // Masks take `bytes_max` of memory at most.
  TokenMasks(Grammar grammar, std::shared_ptr<const TokenTrie> trie,
             size_t bytes_max = kMaskBytesMax);
  ~TokenMasks();

  TokenMasks(const TokenMasks&) = delete;
  TokenMasks& operator=(const TokenMasks&) = delete;

  const Grammar& grammar() const { return grammar_; }
  const TokenTrie& trie() const { return *trie_; }
  // Words of 64 tokens in a mask.
  size_t mask_words() const { return (trie_->vocab_size() + 63) / 64; }

  // Of a state that reads a byte. Stays where it is; beyond the bound of memory
  // it is computed each time, in `own`.
  const StateMask& Of(StateId state, StateMask* own) const {
    const StateMask* known = masks_[state].load(std::memory_order_acquire);
    return known != nullptr ? *known : Compute(state, own);
  }

  // Computes states in their order until `steps_max` steps through the trie
  // were made; a token's byte takes about one. Only the first call does. Not
  // needed: what is missing is computed when it is first asked for.
  void Warm(size_t steps_max) const;

 private:
  const StateMask& Compute(StateId state, StateMask* own) const;

  const Grammar grammar_;
  const std::shared_ptr<const TokenTrie> trie_;
  const size_t bytes_max_;
  mutable std::vector<std::atomic<const StateMask*>> masks_;  // [states]
  mutable absl::Mutex computing_;
  mutable std::vector<std::unique_ptr<StateMask>> owned_
      ABSL_GUARDED_BY(computing_);
  // Kept, since states often read the same.
  mutable std::unique_ptr<GrammarParser> parser_ ABSL_GUARDED_BY(computing_);
  mutable size_t steps_ ABSL_GUARDED_BY(computing_) = 0;
  mutable size_t bytes_ ABSL_GUARDED_BY(computing_) = 0;  // of owned_
  mutable std::atomic<bool> was_warmed_{false};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_MASKS_H_
