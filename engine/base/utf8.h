// UTF-8, one character at a time. Pure functions; any thread.

#ifndef TANDEM_ENGINE_BASE_UTF8_H_
#define TANDEM_ENGINE_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// U+FFFD, which stands for bytes that are not UTF-8.
inline constexpr char kReplacementCharacter[] = "\xEF\xBF\xBD";

struct Utf8Prefix {
  enum class Kind {
    kCharacter,   // `bytes` are one character
    kUnfinished,  // the whole text is the beginning of one character
    kInvalid,     // `bytes` are a maximal subpart: no character begins so
  };
  Kind kind;
  size_t bytes;  // 1 to 4
};

// What the non-empty `text` begins with. Overlong forms, surrogates and code
// points above U+10FFFF are invalid (Unicode 15, table 3-7; maximal subparts:
// section 3.9, "U+FFFD Substitution").
Utf8Prefix FirstUtf8(absl::string_view text);

// `text` for a line of a log or a terminal: each byte that is not of a UTF-8
// character, or of a control character (C0, DEL, C1) or a line or paragraph
// separator, stands as \x and two hexadecimal digits.
std::string EscapeToLine(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_UTF8_H_
