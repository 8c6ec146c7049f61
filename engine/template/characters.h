// The characters of a UTF-8 text, as Python counts, classifies and changes
// them. A byte that is not UTF-8 belongs to the character before it. Pure
// functions; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_CHARACTERS_H_
#define TANDEM_ENGINE_TEMPLATE_CHARACTERS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace tandem {

// Bytes of the character that begins at `offset` < text.size().
size_t CharacterBytes(absl::string_view text, size_t offset);

int64_t CountCharacters(absl::string_view text);

// Where character `index` begins; text.size() from the last one on.
size_t CharacterOffset(absl::string_view text, int64_t index);

// The code point that `text` begins with; U+FFFD where it begins with none.
uint32_t CodePointOf(absl::string_view text);

std::string Utf8Of(uint32_t code_point);

// As str.isspace, isdigit, isalpha ... say of one character.
bool IsSpace(uint32_t code_point);
bool IsLineEnd(uint32_t code_point);  // as str.splitlines has it
bool IsLetter(uint32_t code_point);
bool IsDecimal(uint32_t code_point);
bool IsDigit(uint32_t code_point);
bool IsNumeric(uint32_t code_point);
bool IsUpper(uint32_t code_point);
bool IsLower(uint32_t code_point);
bool IsCased(uint32_t code_point);
bool IsPrintable(uint32_t code_point);  // as repr shows it unescaped

// Whether `text` has letters of a case and `is_case` holds for all of them.
bool IsAllInCase(absl::string_view text, bool (*is_case)(uint32_t code_point));

// The character in upper, title or lower case; may be several characters. A
// character that is not UTF-8 stays.
std::string UpperOf(absl::string_view character);
std::string TitleOf(absl::string_view character);
std::string LowerOf(absl::string_view character);
// For comparisons that do not look at case.
std::string FoldedOf(absl::string_view character);

enum class TextEnds { kBoth, kLeft, kRight };

// The bytes [first, second) that are left of `text` when its ends lose white
// space.
std::pair<size_t, size_t> StripSpace(absl::string_view text, TextEnds ends);
// ... lose the characters that `set` has.
std::pair<size_t, size_t> StripSet(absl::string_view text,
                                   absl::string_view set, TextEnds ends);

// Where `part` stands first in `text` at or after `from`, in a time that grows
// with the sum of their sizes; npos if nowhere.
size_t FindBytes(absl::string_view text, absl::string_view part, size_t from);

// The first `bytes_max` bytes of `text` at most, in whole characters.
absl::string_view CutText(absl::string_view text, size_t bytes_max);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHARACTERS_H_
