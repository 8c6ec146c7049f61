// What the texts of fuzz targets are checked for. A pure function.

#ifndef TANDEM_TESTS_FUZZ_WHOLE_UTF8_H_
#define TANDEM_TESTS_FUZZ_WHOLE_UTF8_H_

#include "absl/strings/string_view.h"
#include "engine/base/utf8.h"

namespace tandem {

// Whether `text` is UTF-8 without an unfinished character.
inline bool IsWholeUtf8(absl::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix first = FirstUtf8(text);
    if (first.kind != Utf8Prefix::Kind::kCharacter) return false;
    text.remove_prefix(first.bytes);
  }
  return true;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_FUZZ_WHOLE_UTF8_H_
