// Where the tokens of one text stand in a grammar: a function of the grammar
// and these tokens alone. One per sequence; one thread at a time, copies too.
//
//   GrammarMatcher matcher(masks);
//   matcher.FillMask(absl::MakeSpan(words));  // allowed tokens
//   matcher.Accept(token);                    // one of them
//   matcher.Truncate(matcher.length() - 1);   // taken back
//
// Ends of a generation (EOS and the like) are no tokens of the grammar: they
// are allowed where may_end() is true, and nothing else is where only_ends().

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_MATCHER_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/grammar/automaton/grammar_parser.h"
#include "engine/grammar/automaton/token_masks.h"

namespace tandem {

class GrammarMatcher {
 public:
  // At the beginning of a text.
  explicit GrammarMatcher(std::shared_ptr<const TokenMasks> masks);

  // Cheap: copies share what was computed, and go on apart.
  GrammarMatcher(const GrammarMatcher&) = default;
  GrammarMatcher& operator=(const GrammarMatcher&) = default;

  // Tokens accepted.
  size_t length() const { return tokens_.size(); }

  // Goes on by `token`. Errors leave the matcher as it was: INVALID_ARGUMENT
  // with INVALID_TOKEN where the grammar does not allow the token here, or
  // RESOURCE_EXHAUSTED with EXHAUSTED where the text nests deeper or is more
  // ambiguous than kParseDepthMax and kParseItemsMax allow.
  absl::Status Accept(TokenId token);
  // Takes back all but the first `length` <= length() tokens. What lies behind
  // the last kTokensKept is read again from the beginning.
  void Truncate(size_t length);

  // Whether Accept would take it.
  bool IsAllowed(TokenId token) const;
  // Sets the bits of the tokens that are allowed next in `mask`
  // [masks.mask_words()], bit id % 64 of word id / 64, and no other. Error:
  // RESOURCE_EXHAUSTED with EXHAUSTED where the grammar is too complex here.
  absl::Status FillMask(absl::Span<uint64_t> mask) const;

  // The text may end here.
  bool may_end() const { return current().may_end; }
  // The text can only end here.
  bool only_ends() const { return current().items.empty(); }

  // The bytes that must come next, at most `bytes_max`; "" where there are
  // several ways, or the text may end.
  std::string ForcedBytes(size_t bytes_max) const;
  // Tokens that spell the beginning of ForcedBytes, each the longest that
  // there is; at most `tokens_max`. A guess at what a model would say: other
  // tokens may spell the same.
  std::vector<TokenId> ForcedTokens(size_t tokens_max) const;

 private:
  const ParseSet& current() const { return parser_->set(sets_.back()); }
  SetId Read(SetId set, TokenId token) const;
  void AddItemTokens(const ParseItem& item, const StateMask& state_mask,
                     absl::Span<uint64_t> mask) const;
  // Makes a parser with the sets of the last tokens alone.
  void DropOldSets();

  std::shared_ptr<const TokenMasks> masks_;
  std::shared_ptr<GrammarParser> parser_;
  std::vector<TokenId> tokens_;
  std::vector<SetId> sets_;  // [length + 1]; kDropped where not kept
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_GRAMMAR_MATCHER_H_
