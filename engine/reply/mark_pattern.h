// Marks in a reply, as "<tool_call>", where they may be texts and control
// tokens: a reply is read as symbols, the bytes of its text and the control
// tokens between them. Values; any thread.

#ifndef TANDEM_ENGINE_REPLY_MARK_PATTERN_H_
#define TANDEM_ENGINE_REPLY_MARK_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tandem {

// A byte of the text, 0 .. 255, or a control token of ControlSymbol.
using ReplySymbol = int32_t;

inline constexpr ReplySymbol kFirstControlSymbol = 256;

inline ReplySymbol ControlSymbol(TokenId id) {
  return kFirstControlSymbol + id;
}

// A control token that a mark may have, by its name.
struct ControlMark {
  std::string name = {};
  TokenId id = 0;

  friend bool operator==(const ControlMark&, const ControlMark&) = default;
};

// True for the bytes that JSON takes for white space.
inline bool IsSpaceSymbol(ReplySymbol symbol) {
  return symbol == ' ' || symbol == '\n' || symbol == '\r' || symbol == '\t';
}

// The symbols of `text`, in which the names of `controls` are these tokens, the
// longest at each place.
std::vector<ReplySymbol> SymbolsOf(absl::string_view text,
                                   absl::Span<const ControlMark> controls);

// Where `text` goes on after white space at `at`, of which at most
// MarkPattern::kMarkSpaceMax symbols are passed over.
size_t SkipSpace(absl::Span<const ReplySymbol> text, size_t at);

// How a text begins, seen with a pattern: it does not match, all of it may be
// the beginning of a match, or its first `length` symbols match.
struct MarkMatch {
  enum class Kind { kNone, kPrefix, kWhole };
  Kind kind = Kind::kNone;
  size_t length = 0;
};

// A mark in which white space may be another than it is written with: where the
// mark has some, and around the punctuation of JSON, any may stand, at most
// kMarkSpaceMax symbols at each place. White space at the ends of what it is
// written with is not part of the mark.
class MarkPattern {
 public:
  static constexpr size_t kMarkSpaceMax = 32;

  // Matches the empty text.
  MarkPattern() = default;
  MarkPattern(absl::string_view mark, absl::Span<const ControlMark> controls);

  bool empty() const { return elements_.empty(); }
  MarkMatch Match(absl::Span<const ReplySymbol> text) const;
  // The same where white space may stand before the mark, which then counts in
  // the length.
  MarkMatch MatchAfterSpace(absl::Span<const ReplySymbol> text) const;

 private:
  // `at`: symbols of `text` that are passed over.
  MarkMatch MatchAt(absl::Span<const ReplySymbol> text, size_t at) const;

  // Symbols, and kSpace for white space.
  std::vector<ReplySymbol> elements_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_MARK_PATTERN_H_
