#include "engine/grammar/syntax/text_cursor.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/utf8.h"
#include "engine/grammar/automaton/char_set.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

absl::StatusOr<TextCursor> TextCursor::Of(absl::string_view text) {
  if (text.size() > kGrammarSourceBytesMax) {
    return InvalidGrammar(absl::StrCat(
        "has ", text.size(), " bytes, more than ", kGrammarSourceBytesMax));
  }
  for (size_t at = 0; at < text.size();) {
    const Utf8Prefix prefix = FirstUtf8(text.substr(at));
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) {
      return InvalidArgument(kReasonInvalidText,
                             absl::StrCat("is not UTF-8 at byte ", at));
    }
    at += prefix.bytes;
  }
  TextCursor cursor;
  cursor.characters_ = CodePointsOf(text);
  return cursor;
}

bool TextCursor::Take(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (Peek(i) != static_cast<uint8_t>(text[i])) return false;
  }
  at_ += text.size();
  return true;
}

std::optional<uint32_t> TextCursor::TakeHex(int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t c = Peek(i);
    if (c >= 0x80 || !absl::ascii_isxdigit(static_cast<uint8_t>(c))) {
      return std::nullopt;
    }
    value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  at_ += count;
  return value;
}

std::optional<uint32_t> TextCursor::TakeNumber(uint32_t most) {
  if (Peek() < '0' || Peek() > '9') return std::nullopt;
  uint64_t number = 0;
  while (Peek() >= '0' && Peek() <= '9') {
    number = std::min<uint64_t>(number * 10 + Next() - '0', uint64_t{most} + 1);
  }
  return static_cast<uint32_t>(number);
}

std::string WrongCounts(const Bounds& counts) {
  if (counts.least > kRepeatMax ||
      (counts.most > kRepeatMax && counts.most != kUnbounded)) {
    return absl::StrCat("repeats more than ", kRepeatMax, " times");
  }
  if (counts.least > counts.most) {
    return "the bounds of {N,M} are out of order";
  }
  return "";
}

std::string TextCursor::LineAndColumn() const {
  return absl::StrCat("line ", line_, ", column ", at_ - line_begin_ + 1);
}

absl::Status TextCursor::ErrorAt(size_t place, absl::string_view what) const {
  return InvalidGrammar(absl::StrCat("character ", place + 1, ": ", what));
}

absl::Status TextCursor::LineErrorAt(size_t place,
                                     absl::string_view what) const {
  TextCursor there;
  there.characters_ = characters_;
  while (there.at_ < place) there.Next();
  return InvalidGrammar(absl::StrCat(there.LineAndColumn(), ": ", what));
}

}  // namespace tandem
