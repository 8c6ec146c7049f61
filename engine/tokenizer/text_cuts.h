// Places where a text can be cut whatever follows: the ids of what is before
// such a place and of what comes from there on, joined, are those of the whole.
// Owned by its tokenizer, which fills it; then immutable, so any thread may
// look.
//
// Such a place is before a space and after a byte from which nothing reaches
// over it:
//  - Byte-level BPE: after an ASCII letter, digit or one of . , ; : ! ? all
//    pre-tokenisers end a word there (pre_tokenizer.cc: no rule takes one of
//    these and a space behind it, and each is taken by some rule); a merge
//    stays in its word. NFC leaves ASCII characters apart.
//  - SentencePiece: after a byte that stands before U+2581 in no piece: then no
//    join over the place is a piece, and joins on one side do not change those
//    on the other.
// Tokens that are found before anything is merged may hold such a place inside:
// there the text is not cut while it may be such a token. Nor is it cut behind
// what special tokens end with, since a text after one begins anew.

#ifndef TANDEM_ENGINE_TOKENIZER_TEXT_CUTS_H_
#define TANDEM_ENGINE_TOKENIZER_TEXT_CUTS_H_

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {

class TextCuts {
 public:
  // Of byte-level BPE.
  void AllowAfterWords();
  // Of SentencePiece; each piece is then taken by Spare.
  void AllowAfterAll();
  // `piece`, with U+2581 for spaces, may be joined over a space inside it.
  void Spare(absl::string_view piece);
  // After all of these: tokens that are found in a text before it is merged.
  void AddWhole(absl::string_view token);
  void AddSpecial(absl::string_view token);

  // The last cut behind `from` and not behind `to`; `from` where there is none.
  // Looks at to - from bytes of `text`, and a few around the place.
  size_t Last(absl::string_view text, size_t from, size_t to) const;

 private:
  // A space in a token, behind a byte that is cut after.
  struct Inner {
    std::string token;
    size_t space;
  };

  bool MayBeInside(absl::string_view text, size_t place) const;

  std::array<bool, 256> is_after_{};
  std::vector<Inner> inner_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_TEXT_CUTS_H_
