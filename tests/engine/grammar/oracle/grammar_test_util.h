// Grammars and vocabularies for tests. Pure functions.

#ifndef TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_TEST_UTIL_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/automaton/grammar_matcher.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/grammar/automaton/token_trie.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

// The grammar of one rule, `body`. Fails the test where it can not be built.
Grammar GrammarOf(GrammarBuilder* builder, ExprId body);

// A trie of tokens with `texts`, and behind them control tokens.
std::shared_ptr<const TokenTrie> TrieOfTexts(
    const std::vector<std::string>& texts,
    const std::vector<std::string>& control_names = {});
// The trie of all 256 bytes, one token each, and `more` tokens.
std::shared_ptr<const TokenTrie> ByteTrie(
    const std::vector<std::string>& more = {},
    const std::vector<std::string>& control_names = {});
// The trie of a vocabulary: special and control tokens have a name alone.
std::shared_ptr<const TokenTrie> TrieOf(const Tokenizer& tokenizer);
// The tokenizers of the folder of vocabularies beside the checkout; those that
// are not there are left out.
std::vector<std::unique_ptr<Tokenizer>> KnownTokenizers();

GrammarMatcher MatcherOf(Grammar grammar,
                         std::shared_ptr<const TokenTrie> trie);

// Whether `text` is a whole text of `grammar`, byte by byte.
bool Matches(const Grammar& grammar, absl::string_view text);
// Whether a text of `grammar` begins with `text`.
bool MatchesPrefix(const Grammar& grammar, absl::string_view text);

// The ids of a mask, ascending.
std::vector<TokenId> IdsOf(const std::vector<uint64_t>& mask);
std::vector<TokenId> AllowedTokens(const GrammarMatcher& matcher,
                                   const TokenTrie& trie);

// Compares masks with GrammarOracle along `texts` random texts of `grammar`,
// each of at most `tokens` tokens of `trie`.
void ExpectMasksOfOracle(const Grammar& grammar,
                         const std::shared_ptr<const TokenTrie>& trie,
                         int texts, int tokens, std::mt19937_64* random);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_TEST_UTIL_H_
