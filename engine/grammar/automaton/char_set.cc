#include "engine/grammar/automaton/char_set.h"

#include <algorithm>
#include <utility>

#include "engine/base/utf8.h"

namespace tandem {
namespace {

constexpr uint32_t kSurrogateFirst = 0xD800;
constexpr uint32_t kSurrogateLast = 0xDFFF;

// The last code point of 1, 2, 3 and 4 bytes of UTF-8.
constexpr uint32_t kLastOfLength[] = {0x7F, 0x7FF, 0xFFFF, kCodePointMax};

std::string Utf8Of(uint32_t code_point) {
  std::string text;
  AppendUtf8Of(code_point, &text);
  return text;
}

// Splits first .. last, all of one length of UTF-8, where the low `bits` of
// each trailing byte are not all of them.
void SplitRange(uint32_t first, uint32_t last,
                std::vector<std::vector<ByteRange>>* out) {
  for (int bits = 6; bits <= 18; bits += 6) {
    const uint32_t mask = (uint32_t{1} << bits) - 1;
    if ((first & ~mask) == (last & ~mask)) continue;
    if ((first & mask) != 0) {
      SplitRange(first, first | mask, out);
      SplitRange((first | mask) + 1, last, out);
      return;
    }
    if ((last & mask) != mask) {
      SplitRange(first, (last & ~mask) - 1, out);
      SplitRange(last & ~mask, last, out);
      return;
    }
  }
  const std::string low = Utf8Of(first);
  const std::string high = Utf8Of(last);
  std::vector<ByteRange>& sequence = out->emplace_back();
  for (size_t i = 0; i < low.size(); ++i) {
    sequence.push_back({.first = static_cast<uint8_t>(low[i]),
                        .last = static_cast<uint8_t>(high[i])});
  }
}

}  // namespace

CharSet::CharSet(std::vector<CharRange> ranges) {
  std::sort(
      ranges.begin(), ranges.end(),
      [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  const auto append = [this](uint32_t first, uint32_t last) {
    if (first > last) return;
    if (!ranges_.empty() && first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, last);
    } else {
      ranges_.push_back({.first = first, .last = last});
    }
  };
  for (const CharRange& range : ranges) {
    const uint32_t last = std::min(range.last, kCodePointMax);
    append(range.first, std::min(last, kSurrogateFirst - 1));
    append(std::max(range.first, kSurrogateLast + 1), last);
  }
}

CharSet CharSet::Any() {
  return CharSet({{.first = 0, .last = kCodePointMax}});
}

CharSet CharSet::Of(uint32_t code_point) {
  return CharSet({{.first = code_point, .last = code_point}});
}

bool CharSet::Contains(uint32_t code_point) const {
  const auto after = std::upper_bound(
      ranges_.begin(), ranges_.end(), code_point,
      [](uint32_t c, const CharRange& range) { return c < range.first; });
  return after != ranges_.begin() && code_point <= (after - 1)->last;
}

CharSet CharSet::Complement() const {
  std::vector<CharRange> gaps;
  uint32_t next = 0;
  for (const CharRange& range : ranges_) {
    if (next < range.first) {
      gaps.push_back({.first = next, .last = range.first - 1});
    }
    next = range.last + 1;
  }
  if (next <= kCodePointMax) {
    gaps.push_back({.first = next, .last = kCodePointMax});
  }
  return CharSet(std::move(gaps));
}

CharSet CharSet::Union(const CharSet& other) const {
  std::vector<CharRange> both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CharSet(std::move(both));
}

CharSet CharSet::Intersection(const CharSet& other) const {
  std::vector<CharRange> common;
  auto a = ranges_.begin();
  auto b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const uint32_t first = std::max(a->first, b->first);
    const uint32_t last = std::min(a->last, b->last);
    if (first <= last) common.push_back({.first = first, .last = last});
    ++(a->last < b->last ? a : b);
  }
  return CharSet(std::move(common));
}

CharSet CharSet::Without(const CharSet& other) const {
  return Intersection(other.Complement());
}

std::vector<std::vector<ByteRange>> Utf8RangesOf(const CharSet& set) {
  std::vector<std::vector<ByteRange>> sequences;
  for (const CharRange& range : set.ranges()) {
    uint32_t first = range.first;
    for (const uint32_t last_of_length : kLastOfLength) {
      if (first > last_of_length) continue;
      const uint32_t last = std::min(range.last, last_of_length);
      SplitRange(first, last, &sequences);
      first = last + 1;
      if (first > range.last) break;
    }
  }
  return sequences;
}

void AppendUtf8Of(uint32_t code_point, std::string* text) {
  const auto trailing = [](uint32_t bits) {
    return static_cast<char>(0x80 | (bits & 0x3F));
  };
  if (code_point < 0x80) {
    text->push_back(static_cast<char>(code_point));
    return;
  }
  if (code_point < 0x800) {
    text->push_back(static_cast<char>(0xC0 | (code_point >> 6)));
  } else if (code_point < 0x10000) {
    text->push_back(static_cast<char>(0xE0 | (code_point >> 12)));
    text->push_back(trailing(code_point >> 6));
  } else {
    text->push_back(static_cast<char>(0xF0 | (code_point >> 18)));
    text->push_back(trailing(code_point >> 12));
    text->push_back(trailing(code_point >> 6));
  }
  text->push_back(trailing(code_point));
}

std::vector<uint32_t> CodePointsOf(absl::string_view text) {
  std::vector<uint32_t> code_points;
  while (!text.empty()) {
    const Utf8Prefix prefix = FirstUtf8(text);
    if (prefix.kind == Utf8Prefix::Kind::kCharacter) {
      const auto first = static_cast<uint8_t>(text[0]);
      uint32_t code_point =
          prefix.bytes == 1 ? first : first & (0x7F >> prefix.bytes);
      for (size_t i = 1; i < prefix.bytes; ++i) {
        code_point = code_point << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
      }
      code_points.push_back(code_point);
    }
    text.remove_prefix(prefix.bytes);
  }
  return code_points;
}

}  // namespace tandem
