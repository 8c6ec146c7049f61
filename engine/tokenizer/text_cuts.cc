#include "engine/tokenizer/text_cuts.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace tandem {
namespace {

constexpr char kEscapedSpace[] = "\xE2\x96\x81";  // U+2581

uint8_t ByteAt(absl::string_view text, size_t at) {
  return static_cast<uint8_t>(text[at]);
}

}  // namespace

void TextCuts::AllowAfterWords() {
  for (size_t byte = 0; byte < is_after_.size(); ++byte) {
    is_after_[byte] = absl::ascii_isalnum(static_cast<unsigned char>(byte));
  }
  for (const char mark : {'.', ',', ';', ':', '!', '?'}) {
    is_after_[static_cast<uint8_t>(mark)] = true;
  }
}

void TextCuts::AllowAfterAll() {
  is_after_.fill(true);
  is_after_[static_cast<uint8_t>(' ')] = false;
}

void TextCuts::Spare(absl::string_view piece) {
  size_t space = piece.find(kEscapedSpace, 1);
  while (space != absl::string_view::npos) {
    is_after_[ByteAt(piece, space - 1)] = false;
    space = piece.find(kEscapedSpace, space + 1);
  }
}

void TextCuts::AddWhole(absl::string_view token) {
  for (size_t at = 1; at < token.size(); ++at) {
    if (token[at] == ' ' && is_after_[ByteAt(token, at - 1)]) {
      inner_.push_back({.token = std::string(token), .space = at});
    }
  }
}

void TextCuts::AddSpecial(absl::string_view token) {
  AddWhole(token);
  if (!token.empty()) is_after_[ByteAt(token, token.size() - 1)] = false;
}

size_t TextCuts::Last(absl::string_view text, size_t from, size_t to) const {
  for (size_t at = std::min(to, text.size()); at > from; --at) {
    if (at < text.size() && text[at] == ' ' &&
        is_after_[ByteAt(text, at - 1)] && !MayBeInside(text, at)) {
      return at;
    }
  }
  return from;
}

bool TextCuts::MayBeInside(absl::string_view text, size_t place) const {
  return std::any_of(inner_.begin(), inner_.end(), [&](const Inner& inner) {
    if (inner.space > place) return false;
    const absl::string_view there = text.substr(place - inner.space);
    return absl::StartsWith(there, inner.token) ||
           absl::StartsWith(inner.token, there);
  });
}

}  // namespace tandem
