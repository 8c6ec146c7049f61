#include "engine/base/utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"

namespace tandem {
namespace {

using Kind = Utf8Prefix::Kind;

std::string Encode(uint32_t code_point) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (code_point < 0x80) return {byte(code_point)};
  if (code_point < 0x800) {
    return {byte(0xC0 | code_point >> 6), byte(0x80 | (code_point & 0x3F))};
  }
  if (code_point < 0x10000) {
    return {byte(0xE0 | code_point >> 12),
            byte(0x80 | (code_point >> 6 & 0x3F)),
            byte(0x80 | (code_point & 0x3F))};
  }
  return {byte(0xF0 | code_point >> 18), byte(0x80 | (code_point >> 12 & 0x3F)),
          byte(0x80 | (code_point >> 6 & 0x3F)),
          byte(0x80 | (code_point & 0x3F))};
}

// Which sequences of up to three bytes begin a character, and which are one.
struct Oracle {
  Oracle() : begins((1 << 24) + (1 << 16) + (1 << 8)), is(begins.size()) {
    for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
      if (point >= 0xD800 && point <= 0xDFFF) continue;
      const std::string bytes = Encode(point);
      for (size_t n = 1; n <= bytes.size() && n <= 3; ++n) {
        begins[Index(bytes.substr(0, n))] = true;
      }
      if (bytes.size() <= 3) is[Index(bytes)] = true;
    }
  }
  // Sequences of one byte come first, then those of two, then those of three.
  static size_t Index(const std::string& bytes) {
    size_t index = 0;
    for (const char byte : bytes) {
      index = index << 8 | static_cast<uint8_t>(byte);
    }
    if (bytes.size() == 2) index += 1 << 8;
    if (bytes.size() == 3) index += (1 << 8) + (1 << 16);
    return index;
  }

  std::vector<bool> begins;
  std::vector<bool> is;
};

// Every sequence of one, two and three bytes.
TEST(Utf8Test, AgreesWithTheListOfAllCharacters) {
  Oracle oracle;
  for (uint32_t value = 0; value < 1 << 24; ++value) {
    const std::string bytes = {static_cast<char>(value >> 16),
                               static_cast<char>(value >> 8),
                               static_cast<char>(value)};
    Utf8Prefix expected = {Kind::kInvalid, 1};
    for (size_t n = 1; n <= 3; ++n) {
      const size_t index = Oracle::Index(bytes.substr(0, n));
      if (!oracle.begins[index]) break;
      expected.bytes = n;
      if (oracle.is[index]) {
        expected.kind = Kind::kCharacter;
        break;
      }
      if (n == 3) expected.kind = Kind::kUnfinished;
    }
    const Utf8Prefix first = FirstUtf8(bytes);
    ASSERT_EQ(first.kind, expected.kind) << absl::CHexEscape(bytes);
    ASSERT_EQ(first.bytes, expected.bytes) << absl::CHexEscape(bytes);
  }
}

TEST(Utf8Test, TakesEveryCharacterWhole) {
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    const std::string bytes = Encode(point);
    const bool is_surrogate = point >= 0xD800 && point <= 0xDFFF;
    const Utf8Prefix first = FirstUtf8(bytes + "\x80");
    ASSERT_EQ(first.kind == Kind::kCharacter, !is_surrogate) << point;
    if (is_surrogate) continue;
    ASSERT_EQ(first.bytes, bytes.size());
    for (size_t n = 1; n < bytes.size(); ++n) {
      const Utf8Prefix cut = FirstUtf8(bytes.substr(0, n));
      ASSERT_EQ(cut.kind, Kind::kUnfinished);
      ASSERT_EQ(cut.bytes, n);
    }
  }
}

// Table 3-8 of the Unicode standard.
TEST(Utf8Test, FindsMaximalSubparts) {
  const std::string bytes =
      "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
  std::string text;
  for (absl::string_view rest = bytes; !rest.empty();) {
    const Utf8Prefix first = FirstUtf8(rest);
    text += first.kind == Kind::kCharacter ? std::string(rest.substr(0, 1))
                                           : kReplacementCharacter;
    rest.remove_prefix(first.bytes);
  }
  EXPECT_EQ(text, "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
}

TEST(Utf8Test, ALineStaysOne) {
  EXPECT_EQ(EscapeToLine(""), "");
  EXPECT_EQ(EscapeToLine("plain \\ \"text\" \u00A0\u20AC\U0001F600"),
            "plain \\ \"text\" \u00A0\u20AC\U0001F600");
  EXPECT_EQ(EscapeToLine("a\nb\r\tc\x1b[2J\x7f"),
            "a\\x0ab\\x0d\\x09c\\x1b[2J\\x7f");
  EXPECT_EQ(EscapeToLine(absl::string_view("\0x", 2)), "\\x00x");
  EXPECT_EQ(EscapeToLine("\u0085\u009B\u2028\u2029"),
            "\\xc2\\x85\\xc2\\x9b\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
  EXPECT_EQ(EscapeToLine("a\xff\xe2\x80"), "a\\xff\\xe2\\x80");
}

}  // namespace
}  // namespace tandem
