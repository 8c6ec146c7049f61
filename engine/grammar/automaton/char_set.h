// A set of Unicode characters, and the UTF-8 of it. Plain values; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_CHAR_SET_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_CHAR_SET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {

inline constexpr uint32_t kCodePointMax = 0x10FFFF;

// Code points first .. last.
struct CharRange {
  uint32_t first = 0;
  uint32_t last = 0;

  friend bool operator==(const CharRange&, const CharRange&) = default;
};

class CharSet {
 public:
  CharSet() = default;
  // The union of `ranges`, without the surrogates, which UTF-8 does not have,
  // and without what lies above kCodePointMax.
  explicit CharSet(std::vector<CharRange> ranges);
  // All characters.
  static CharSet Any();
  static CharSet Of(uint32_t code_point);

  // Ascending, neither overlapping nor adjacent.
  const std::vector<CharRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool Contains(uint32_t code_point) const;

  CharSet Complement() const;
  CharSet Union(const CharSet& other) const;
  CharSet Intersection(const CharSet& other) const;
  CharSet Without(const CharSet& other) const;

 private:
  std::vector<CharRange> ranges_;
};

// Bytes first .. last at one place of a character.
struct ByteRange {
  uint8_t first = 0;
  uint8_t last = 0;

  friend auto operator<=>(const ByteRange&, const ByteRange&) = default;
};

// The UTF-8 of a set: each entry stands for all characters whose bytes are in
// its ranges, 1 to 4 of them. At each place two entries that are equal before
// it have there either the same range or two without a common byte.
std::vector<std::vector<ByteRange>> Utf8RangesOf(const CharSet& set);

// Appends the UTF-8 of a code point, which is no surrogate.
void AppendUtf8Of(uint32_t code_point, std::string* text);

// The code points of UTF-8; bytes that are none are left out.
std::vector<uint32_t> CodePointsOf(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_CHAR_SET_H_
