#include "engine/base/utf8.h"

#include <cstdint>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// What may follow a lead byte: the length of the character and the range of
// the second byte. Length 0: not a lead byte.
struct Lead {
  size_t bytes;
  uint8_t second_min;
  uint8_t second_max;
};

Lead LeadOf(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};  // below: overlong
  if (byte == 0xED) return {3, 0x80, 0x9F};  // above: surrogates
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};  // below: overlong
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};  // above: past U+10FFFF
  return {0, 0, 0};
}

// Of a whole character.
bool BreaksLine(absl::string_view character) {
  const auto first = static_cast<uint8_t>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  const auto second = static_cast<uint8_t>(character[1]);
  if (character.size() == 2) return first == 0xC2 && second < 0xA0;  // C1
  // U+2028 and U+2029.
  return character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9";
}

}  // namespace

Utf8Prefix FirstUtf8(absl::string_view text) {
  const Lead lead = LeadOf(static_cast<uint8_t>(text[0]));
  if (lead.bytes == 0) return {Utf8Prefix::Kind::kInvalid, 1};
  for (size_t i = 1; i < lead.bytes; ++i) {
    if (i == text.size()) return {Utf8Prefix::Kind::kUnfinished, i};
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t least = i == 1 ? lead.second_min : 0x80;
    const uint8_t most = i == 1 ? lead.second_max : 0xBF;
    if (byte < least || byte > most) return {Utf8Prefix::Kind::kInvalid, i};
  }
  return {Utf8Prefix::Kind::kCharacter, lead.bytes};
}

std::string EscapeToLine(absl::string_view text) {
  std::string line;
  while (!text.empty()) {
    const Utf8Prefix first = FirstUtf8(text);
    const absl::string_view bytes = text.substr(0, first.bytes);
    text.remove_prefix(first.bytes);
    if (first.kind == Utf8Prefix::Kind::kCharacter && !BreaksLine(bytes)) {
      absl::StrAppend(&line, bytes);
      continue;
    }
    for (const char byte : bytes) {
      absl::StrAppend(&line, "\\x",
                      absl::Hex(static_cast<uint8_t>(byte), absl::kZeroPad2));
    }
  }
  return line;
}

}  // namespace tandem
