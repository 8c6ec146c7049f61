#include "engine/template/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "engine/base/utf8.h"

namespace tandem {
namespace {

bool IsContinuation(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

utf8proc_category_t CategoryOf(uint32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

// Letters whose upper case is not one letter (Unicode's SpecialCasing.txt,
// without the Greek and Armenian ones).
struct SpecialCase {
  uint32_t code_point;
  const char* upper;
  const char* title;
};
constexpr std::array<SpecialCase, 10> kSpecialCases = {
    SpecialCase{0x00DF, "SS", "Ss"},
    {0x0149, "\u02BCN", "\u02BCN"},
    {0x01F0, "J\u030C", "J\u030C"},
    {0xFB00, "FF", "Ff"},
    {0xFB01, "FI", "Fi"},
    {0xFB02, "FL", "Fl"},
    {0xFB03, "FFI", "Ffi"},
    {0xFB04, "FFL", "Ffl"},
    {0xFB05, "ST", "St"},
    {0xFB06, "ST", "St"},
};

// Characters that count as lower case and are no letters of a case (Unicode's
// Other_Lowercase), but for those that have an upper case.
using CodePointRange = std::pair<uint32_t, uint32_t>;
constexpr CodePointRange kOtherLower[] = {
    {0xAA, 0xAA},     {0xBA, 0xBA},     {0x2B0, 0x2B8},   {0x2C0, 0x2C1},
    {0x2E0, 0x2E4},   {0x37A, 0x37A},   {0x1D2C, 0x1D6A}, {0x1D78, 0x1D78},
    {0x1D9B, 0x1DBF}, {0x2071, 0x2071}, {0x207F, 0x207F}, {0x2090, 0x209C},
    {0x2C7C, 0x2C7D}, {0xA69C, 0xA69D}, {0xA770, 0xA770}, {0xA7F8, 0xA7F9},
    {0xAB5C, 0xAB5F}};

bool IsOneCharacter(absl::string_view character) {
  if (character.empty()) return false;
  const Utf8Prefix prefix = FirstUtf8(character);
  return prefix.kind == Utf8Prefix::Kind::kCharacter &&
         prefix.bytes == character.size();
}

// `character` as `map` changes it, or as the table of special cases says in
// `special`, unless that is null.
std::string Mapped(absl::string_view character,
                   utf8proc_int32_t (*map)(utf8proc_int32_t),
                   const char* SpecialCase::*special) {
  if (!IsOneCharacter(character)) return std::string(character);
  const uint32_t code_point = CodePointOf(character);
  for (const SpecialCase& other : kSpecialCases) {
    if (special != nullptr && other.code_point == code_point) {
      return other.*special;
    }
  }
  return Utf8Of(
      static_cast<uint32_t>(map(static_cast<utf8proc_int32_t>(code_point))));
}

template <typename IsStripped>
std::pair<size_t, size_t> Strip(absl::string_view text, TextEnds ends,
                                IsStripped is_stripped) {
  size_t begin = 0;
  size_t end = text.size();
  if (ends != TextEnds::kRight) {
    while (begin < end) {
      const size_t bytes = CharacterBytes(text, begin);
      if (!is_stripped(text.substr(begin, bytes))) break;
      begin += bytes;
    }
  }
  if (ends != TextEnds::kLeft) {
    while (begin < end) {
      size_t last = end - 1;
      while (last > begin && IsContinuation(text[last])) --last;
      if (!is_stripped(text.substr(last, end - last))) break;
      end = last;
    }
  }
  return {begin, end};
}

}  // namespace

size_t CharacterBytes(absl::string_view text, size_t offset) {
  size_t end = offset + 1;
  while (end < text.size() && IsContinuation(text[end])) ++end;
  return end - offset;
}

int64_t CountCharacters(absl::string_view text) {
  int64_t count = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    count += i == 0 || !IsContinuation(text[i]) ? 1 : 0;
  }
  return count;
}

size_t CharacterOffset(absl::string_view text, int64_t index) {
  size_t offset = 0;
  for (int64_t i = 0; i < index && offset < text.size(); ++i) {
    offset += CharacterBytes(text, offset);
  }
  return offset;
}

uint32_t CodePointOf(absl::string_view text) {
  constexpr uint32_t kReplacement = 0xFFFD;
  utf8proc_int32_t code_point = 0;
  const utf8proc_ssize_t bytes = utf8proc_iterate(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(std::min<size_t>(text.size(), 4)),
      &code_point);
  return bytes < 1 ? kReplacement : static_cast<uint32_t>(code_point);
}

std::string Utf8Of(uint32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes = {};
  const utf8proc_ssize_t count = utf8proc_encode_char(
      static_cast<utf8proc_int32_t>(code_point), bytes.data());
  return {reinterpret_cast<const char*>(bytes.data()),
          static_cast<size_t>(count)};
}

bool IsSpace(uint32_t code_point) {
  return (code_point >= 0x09 && code_point <= 0x0D) ||
         (code_point >= 0x1C && code_point <= 0x20) || code_point == 0x85 ||
         code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) ||
         code_point == 0x2028 || code_point == 0x2029 || code_point == 0x202F ||
         code_point == 0x205F || code_point == 0x3000;
}

bool IsLineEnd(uint32_t code_point) {
  return (code_point >= 0x0A && code_point <= 0x0D) ||
         (code_point >= 0x1C && code_point <= 0x1E) || code_point == 0x85 ||
         code_point == 0x2028 || code_point == 0x2029;
}

bool IsLetter(uint32_t code_point) {
  const utf8proc_category_t category = CategoryOf(code_point);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool IsDecimal(uint32_t code_point) {
  return CategoryOf(code_point) == UTF8PROC_CATEGORY_ND;
}

bool IsDigit(uint32_t code_point) {
  // Decimal digits and the superscripts, subscripts and enclosed ones.
  return IsDecimal(code_point) || code_point == 0xB2 || code_point == 0xB3 ||
         code_point == 0xB9 || code_point == 0x2070 ||
         (code_point >= 0x2074 && code_point <= 0x2079) ||
         (code_point >= 0x2080 && code_point <= 0x2089) ||
         (code_point >= 0x2460 && code_point <= 0x2468);
}

bool IsNumeric(uint32_t code_point) {
  const utf8proc_category_t category = CategoryOf(code_point);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

bool IsUpper(uint32_t code_point) {
  return CategoryOf(code_point) == UTF8PROC_CATEGORY_LU ||
         utf8proc_isupper(static_cast<utf8proc_int32_t>(code_point)) != 0;
}

bool IsLower(uint32_t code_point) {
  return CategoryOf(code_point) == UTF8PROC_CATEGORY_LL ||
         utf8proc_islower(static_cast<utf8proc_int32_t>(code_point)) != 0 ||
         std::any_of(std::begin(kOtherLower), std::end(kOtherLower),
                     [code_point](const CodePointRange& range) {
                       return range.first <= code_point &&
                              code_point <= range.second;
                     });
}

bool IsCased(uint32_t code_point) {
  return IsUpper(code_point) || IsLower(code_point) ||
         CategoryOf(code_point) == UTF8PROC_CATEGORY_LT;
}

bool IsPrintable(uint32_t code_point) {
  const utf8proc_category_t category = CategoryOf(code_point);
  // Separators, and what is no character, end the categories.
  return code_point == ' ' ||
         (category != UTF8PROC_CATEGORY_CN && category < UTF8PROC_CATEGORY_ZS);
}

bool IsAllInCase(absl::string_view text, bool (*is_case)(uint32_t code_point)) {
  bool has_cased = false;
  for (size_t i = 0; i < text.size(); i += CharacterBytes(text, i)) {
    const uint32_t code_point = CodePointOf(text.substr(i));
    if (!IsCased(code_point)) continue;
    if (!is_case(code_point)) return false;
    has_cased = true;
  }
  return has_cased;
}

std::string UpperOf(absl::string_view character) {
  return Mapped(character, &utf8proc_toupper, &SpecialCase::upper);
}

std::string TitleOf(absl::string_view character) {
  return Mapped(character, &utf8proc_totitle, &SpecialCase::title);
}

std::string LowerOf(absl::string_view character) {
  if (character == "\u0130") return "i\u0307";
  return Mapped(character, &utf8proc_tolower, nullptr);
}

std::string FoldedOf(absl::string_view character) {
  if (!IsOneCharacter(character)) return std::string(character);
  // The longest is three.
  std::array<utf8proc_int32_t, 8> code_points = {};
  int last_class = 0;
  const utf8proc_ssize_t count = utf8proc_decompose_char(
      static_cast<utf8proc_int32_t>(CodePointOf(character)), code_points.data(),
      code_points.size(), UTF8PROC_CASEFOLD, &last_class);
  std::string folded;
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    folded +=
        Utf8Of(static_cast<uint32_t>(code_points[static_cast<size_t>(i)]));
  }
  return folded;
}

std::pair<size_t, size_t> StripSpace(absl::string_view text, TextEnds ends) {
  return Strip(text, ends, [](absl::string_view character) {
    return IsSpace(CodePointOf(character));
  });
}

std::pair<size_t, size_t> StripSet(absl::string_view text,
                                   absl::string_view set, TextEnds ends) {
  return Strip(text, ends, [set](absl::string_view character) {
    return set.find(character) != absl::string_view::npos;
  });
}

size_t FindBytes(absl::string_view text, absl::string_view part, size_t from) {
  if (from > text.size()) return absl::string_view::npos;
  if (part.empty()) return from;
  const void* const found =
      memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return absl::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

absl::string_view CutText(absl::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && IsContinuation(text[end])) --end;
  return text.substr(0, end);
}

}  // namespace tandem
