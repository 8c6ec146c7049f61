// What kind of character a code point is, as the published patterns of
// pre-tokenisers ask: general categories of Unicode (utf8proc) and white space.
// Pure functions; any thread.

#ifndef TANDEM_ENGINE_TOKENIZER_CHARACTER_CLASS_H_
#define TANDEM_ENGINE_TOKENIZER_CHARACTER_CLASS_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tandem {

// Bits of a set of classes.
using CharacterClasses = uint32_t;
inline constexpr CharacterClasses kUpper = 1 << 0;        // \p{Lu}
inline constexpr CharacterClasses kTitle = 1 << 1;        // \p{Lt}
inline constexpr CharacterClasses kLower = 1 << 2;        // \p{Ll}
inline constexpr CharacterClasses kModifier = 1 << 3;     // \p{Lm}
inline constexpr CharacterClasses kOtherLetter = 1 << 4;  // \p{Lo}
inline constexpr CharacterClasses kMark = 1 << 5;         // \p{M}
inline constexpr CharacterClasses kNumber = 1 << 6;       // \p{N}
inline constexpr CharacterClasses kPunctuation = 1 << 7;  // \p{P}
inline constexpr CharacterClasses kWhiteSpace = 1 << 8;   // \s
inline constexpr CharacterClasses kNewline = 1 << 9;      // [\r\n]
inline constexpr CharacterClasses kLetter =
    kUpper | kTitle | kLower | kModifier | kOtherLetter;  // \p{L}

// All classes of a code point (at most U+10FFFF); 0 for symbols, controls and
// unassigned ones.
CharacterClasses ClassesOf(uint32_t code_point);

// A character of a text.
struct Character {
  uint32_t code_point = 0;
  CharacterClasses classes = 0;
  uint32_t bytes = 0;  // 0: the text has ended
};

// The character that `text` begins with. A byte that begins none stands for
// U+FFFD, a symbol.
Character FirstCharacter(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_CHARACTER_CLASS_H_
