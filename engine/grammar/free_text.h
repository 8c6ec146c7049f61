// Free text as a part of a grammar: any UTF-8 without control tokens, up to its
// own end or to the first of some marks. Pure functions; any thread.
//
// The part is an automaton over bytes. A state says how much of each mark the
// text ends with, as in the search of Aho and Corasick ("Efficient string
// matching", CACM 18(6), 1975), and what the text's last character still needs.
// There are about as many states as the marks have bytes, and they loop within
// one rule, so a text of any length has one level.

#ifndef TANDEM_ENGINE_GRAMMAR_FREE_TEXT_H_
#define TANDEM_ENGINE_GRAMMAR_FREE_TEXT_H_

#include <string>
#include <vector>

#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

// Bytes of a mark in a source. Masks of its states allow nearly all tokens, and
// each of them takes 16 KiB and up to 22 ms in a vocabulary of 128,000 tokens.
inline constexpr size_t kTextMarkBytesMax = 256;

struct FreeTextMark {
  enum class Place {
    kAnywhere,
    kAtStart,  // with nothing but white space before it
  };
  // Not empty; as TokenTrie::WithControlTokens returns it.
  std::string bytes;
  Place place = Place::kAnywhere;
  // What follows the mark; Never(): the mark never comes.
  ExprId next = 0;
};

// A text without a mark and then `end`; or a text, the first mark in it and
// then what follows that mark. A text may end within what would become a mark,
// unless a control token of the mark was there.
ExprId FreeText(std::vector<FreeTextMark> marks, ExprId end,
                GrammarBuilder* builder);

// Up to two line feeds and spaces, as models write them between two parts.
ExprId ShortSpace(GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_FREE_TEXT_H_
