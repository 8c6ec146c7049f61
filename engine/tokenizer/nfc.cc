#include "engine/tokenizer/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/template/characters.h"
#include "engine/tokenizer/character_class.h"

namespace tandem {
namespace {

using CodePoint = utf8proc_int32_t;

// A character below U+0300 is in NFC, and no mark; those from there on begin
// with this byte or a higher one.
constexpr uint8_t kFirstByteOfMarks = 0xCC;

// Appends the canonical decomposition.
void AppendDecomposed(CodePoint code_point, std::vector<CodePoint>* parts) {
  std::array<CodePoint, 8> buffer;  // a decomposition has up to 4
  int boundary = 0;
  const utf8proc_ssize_t size = utf8proc_decompose_char(
      code_point, buffer.data(), buffer.size(), UTF8PROC_DECOMPOSE, &boundary);
  TANDEM_CHECK(size >= 1 &&
               size <= static_cast<utf8proc_ssize_t>(buffer.size()));
  parts->insert(parts->end(), buffer.begin(), buffer.begin() + size);
}

// True for code points that leave what is before them as it is: they neither
// compose with it nor pass it by. The others are marks, and the vowels and
// final consonants of Hangul.
bool StaysApart(CodePoint code_point) {
  const bool is_jamo = code_point >= 0x1160 && code_point <= 0x11FF;
  return !is_jamo &&
         (ClassesOf(static_cast<uint32_t>(code_point)) & kMark) == 0;
}

int CombiningClass(CodePoint code_point) {
  return utf8proc_get_property(code_point)->combining_class;
}

// Puts marks of one character into the canonical order. (utf8proc's own sorting
// takes quadratic time.)
void Reorder(std::vector<CodePoint>* parts) {
  const auto is_starter = [](CodePoint part) {
    return CombiningClass(part) == 0;
  };
  auto begin = parts->begin();
  while (true) {
    begin = std::find_if_not(begin, parts->end(), is_starter);
    if (begin == parts->end()) return;
    const auto end = std::find_if(begin, parts->end(), is_starter);
    std::stable_sort(begin, end, [](CodePoint a, CodePoint b) {
      return CombiningClass(a) < CombiningClass(b);
    });
    begin = end;
  }
}

// Where a character and those that may change it end; its decomposition is
// appended. The end of a text, and bytes that are not UTF-8, end it too.
size_t EndOfSegment(absl::string_view text, size_t begin,
                    std::vector<CodePoint>* parts) {
  size_t end = begin;
  while (end < text.size()) {
    const absl::string_view rest = text.substr(end);
    if (FirstUtf8(rest).kind != Utf8Prefix::Kind::kCharacter) break;
    const Character character = FirstCharacter(rest);
    const size_t known = parts->size();
    AppendDecomposed(static_cast<CodePoint>(character.code_point), parts);
    if (end > begin && StaysApart((*parts)[known])) {
      parts->resize(known);
      break;
    }
    end += character.bytes;
  }
  return end;
}

// The composition of decomposed code points, in UTF-8.
std::string Compose(std::vector<CodePoint>* parts) {
  Reorder(parts);
  const utf8proc_ssize_t size = utf8proc_normalize_utf32(
      parts->data(), static_cast<utf8proc_ssize_t>(parts->size()),
      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  TANDEM_CHECK(size >= 0);
  std::string text;
  for (utf8proc_ssize_t i = 0; i < size; ++i) {
    text.append(Utf8Of(static_cast<uint32_t>((*parts)[i])));
  }
  return text;
}

// Where the character begins that may change with the one at `at`: a whole one
// of 1 or 2 bytes just before it, not before `from`; `at` where there is none.
size_t BaseBefore(absl::string_view text, size_t from, size_t at) {
  for (size_t bytes = 1; bytes <= 2 && bytes <= at - from; ++bytes) {
    const Utf8Prefix prefix = FirstUtf8(text.substr(at - bytes, bytes));
    if (prefix.kind == Utf8Prefix::Kind::kCharacter && prefix.bytes == bytes) {
      return at - bytes;
    }
  }
  return at;
}

}  // namespace

absl::string_view ToNfc(absl::string_view text, std::string* buffer) {
  buffer->clear();
  size_t copied = 0;  // of `text`, to `buffer`
  size_t from = 0;    // a segment begins here
  std::vector<CodePoint> parts;
  while (true) {
    const auto mark =
        std::find_if(text.begin() + from, text.end(), [](char byte) {
          return static_cast<uint8_t>(byte) >= kFirstByteOfMarks;
        });
    if (mark == text.end()) break;
    const size_t begin = BaseBefore(text, from, mark - text.begin());
    parts.clear();
    const size_t end = EndOfSegment(text, begin, &parts);
    if (end == begin) {  // not UTF-8
      from = begin + 1;
      continue;
    }
    from = end;
    const absl::string_view segment = text.substr(begin, end - begin);
    const std::string composed = Compose(&parts);
    if (composed == segment) continue;
    buffer->append(text.data() + copied, begin - copied);
    buffer->append(composed);
    copied = end;
  }
  if (copied == 0) return text;
  buffer->append(text.data() + copied, text.size() - copied);
  return *buffer;
}

absl::string_view UnicodeVersion() { return utf8proc_unicode_version(); }

}  // namespace tandem
