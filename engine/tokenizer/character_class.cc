#include "engine/tokenizer/character_class.h"

#include <utf8proc.h>

#include <array>

#include "engine/base/utf8.h"

namespace tandem {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

CharacterClasses ClassOfCategory(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
      return kUpper;
    case UTF8PROC_CATEGORY_LT:
      return kTitle;
    case UTF8PROC_CATEGORY_LL:
      return kLower;
    case UTF8PROC_CATEGORY_LM:
      return kModifier;
    case UTF8PROC_CATEGORY_LO:
      return kOtherLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return kWhiteSpace;
    default:
      return 0;
  }
}

CharacterClasses LookUpClasses(uint32_t code_point) {
  CharacterClasses classes = ClassOfCategory(
      utf8proc_category(static_cast<utf8proc_int32_t>(code_point)));
  // The control characters that have the property White_Space.
  if ((code_point >= '\t' && code_point <= '\r') || code_point == 0x85) {
    classes |= kWhiteSpace;
  }
  if (code_point == '\r' || code_point == '\n') classes |= kNewline;
  return classes;
}

uint32_t CodePointOf(absl::string_view character) {
  const auto byte = [character](size_t i) {
    return static_cast<uint32_t>(static_cast<uint8_t>(character[i]));
  };
  constexpr uint32_t kLeadMask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
  uint32_t code_point = byte(0) & kLeadMask[character.size()];
  for (size_t i = 1; i < character.size(); ++i) {
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  return code_point;
}

}  // namespace

CharacterClasses ClassesOf(uint32_t code_point) {
  static const std::array<CharacterClasses, 128> ascii = [] {
    std::array<CharacterClasses, 128> table;
    for (uint32_t i = 0; i < 128; ++i) table[i] = LookUpClasses(i);
    return table;
  }();
  return code_point < 128 ? ascii[code_point] : LookUpClasses(code_point);
}

Character FirstCharacter(absl::string_view text) {
  if (text.empty()) return {};
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 128) {
    return {.code_point = first, .classes = ClassesOf(first), .bytes = 1};
  }
  const Utf8Prefix prefix = FirstUtf8(text);
  if (prefix.kind != Utf8Prefix::Kind::kCharacter) {
    return {.code_point = kReplacement,
            .classes = ClassesOf(kReplacement),
            .bytes = 1};
  }
  const uint32_t code_point = CodePointOf(text.substr(0, prefix.bytes));
  return {.code_point = code_point,
          .classes = ClassesOf(code_point),
          .bytes = static_cast<uint32_t>(prefix.bytes)};
}

}  // namespace tandem
