#include "engine/tokenizer/character_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace tandem {
namespace {

constexpr utf8proc_int32_t kReplacement = 0xFFFD;

// Categories of one kind stand one after another (utf8proc_category_t).
CharacterClasses ClassesOfCategory(utf8proc_category_t category) {
  constexpr CharacterClasses kLetters[] = {kUpper, kLower, kTitle, kModifier,
                                           kOtherLetter};
  if (category < UTF8PROC_CATEGORY_LU) return 0;
  if (category <= UTF8PROC_CATEGORY_LO) {
    return kLetters[category - UTF8PROC_CATEGORY_LU];
  }
  if (category <= UTF8PROC_CATEGORY_ME) return kMark;
  if (category <= UTF8PROC_CATEGORY_NO) return kNumber;
  if (category <= UTF8PROC_CATEGORY_PO) return kPunctuation;
  const bool is_separator =
      category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
  return is_separator ? kWhiteSpace : 0;
}

CharacterClasses LookUpClasses(uint32_t code_point) {
  CharacterClasses classes = ClassesOfCategory(
      utf8proc_category(static_cast<utf8proc_int32_t>(code_point)));
  // The control characters that have the property White_Space.
  if ((code_point >= '\t' && code_point <= '\r') || code_point == 0x85) {
    classes |= kWhiteSpace;
  }
  if (code_point == '\r' || code_point == '\n') classes |= kNewline;
  return classes;
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
  // A byte that begins no character is U+FFFD.
  utf8proc_int32_t code_point = 0;
  utf8proc_ssize_t bytes = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4)),
      &code_point);
  if (bytes < 1) {
    code_point = kReplacement;
    bytes = 1;
  }
  const auto found = static_cast<uint32_t>(code_point);
  return {.code_point = found,
          .classes = ClassesOf(found),
          .bytes = static_cast<uint32_t>(bytes)};
}

}  // namespace tandem
