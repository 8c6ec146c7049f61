#include "engine/tokenizer/nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/tokenizer/character_class.h"
#include "tests/engine/tokenizer/known_texts.h"

namespace tandem {
namespace {

std::string Nfc(const std::string& text) {
  std::string buffer;
  return std::string(ToNfc(text, &buffer));
}

// The oracle: utf8proc's own, of a text that is UTF-8 and has no NUL.
std::string OracleNfc(const std::string& text) {
  utf8proc_uint8_t* const composed =
      utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
  EXPECT_NE(composed, nullptr);
  std::string result(reinterpret_cast<char*>(composed));
  std::free(composed);
  return result;
}

TEST(NfcTest, ComposesAndReorders) {
  EXPECT_EQ(Nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(Nfc("xe\u0301y"), "x\u00e9y");
  EXPECT_EQ(Nfc("\u00e9\u0323"), "\u1eb9\u0301");
  EXPECT_EQ(Nfc("a\u0315\u0300\u05ae"), "\u00e0\u05ae\u0315");
  EXPECT_EQ(Nfc("\u212b"), "\u00c5");              // a singleton
  EXPECT_EQ(Nfc("\u0958"), "\u0915\u093c");        // excluded from composition
  EXPECT_EQ(Nfc("\u1100\u1161\u11a8"), "\uac01");  // Hangul
  EXPECT_EQ(Nfc("\uac00\u11a8"), "\uac01");
  EXPECT_EQ(Nfc("\u0301e"), "\u0301e");
}

TEST(NfcTest, WhatIsInNfcIsNotCopied) {
  for (const std::string text :
       {"", "plain", "caf\u00e9 \u00df",
        "\u65e5\u672c\u8a9e \u1ebf \ud55c\uae00", "x\u0302\u05d0\u05b8"}) {
    std::string buffer;
    const absl::string_view result = ToNfc(text, &buffer);
    EXPECT_EQ(result.data(), text.data()) << text;
    EXPECT_EQ(result, text);
  }
}

TEST(NfcTest, BytesThatAreNotUtf8StayAndPart) {
  EXPECT_EQ(Nfc("e\xff\u0301"), "e\xff\u0301");
  EXPECT_EQ(Nfc("\xcc"), "\xcc");
  EXPECT_EQ(Nfc("\xed\xa0\x80 e\u0301 \xc3"), "\xed\xa0\x80 \u00e9 \xc3");
  EXPECT_EQ(Nfc("\x81\u0301"), "\x81\u0301");
  EXPECT_EQ(Nfc(std::string("e\0\xcc\x81", 4)), std::string("e\0\xcc\x81", 4));
}

// What a segment may begin with must never be the second part of a composition
// in the version of Unicode that is linked; nor be put before what is before
// it.
TEST(NfcTest, AllCharactersOfUnicodeAreAsTheOracleHasThem) {
  std::set<uint32_t> parts;  // second and later ones
  for (uint32_t code = 1; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    utf8proc_int32_t buffer[8];
    int boundary = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), buffer, 8,
                                UTF8PROC_DECOMPOSE, &boundary);
    ASSERT_LE(count, 8);
    for (int i = 1; i < count; ++i) parts.insert(buffer[i]);
    if (count == 1 && code >= 0x3000) continue;  // most of them
    std::string text = "e";
    AppendUtf8(code, &text);
    text += "\u0301";
    ASSERT_EQ(Nfc(text), OracleNfc(text)) << code;
  }
  EXPECT_GT(parts.size(), 100u);
  for (const uint32_t code : parts) {
    for (const uint32_t base : {0x41u, 0x915u, 0x1100u, 0xAC00u, 0x1EBFu}) {
      std::string text;
      AppendUtf8(base, &text);
      AppendUtf8(code, &text);
      ASSERT_EQ(Nfc(text), OracleNfc(text)) << base << " " << code;
    }
    const bool is_jamo = code >= 0x1160 && code <= 0x11FF;
    EXPECT_TRUE(is_jamo || (ClassesOf(code) & kMark) != 0) << code;
  }
}

TEST(NfcTest, RandomTextsAreAsTheOracleHasThem) {
  std::mt19937_64 random(1);
  const std::vector<uint32_t> ranges[] = {
      {0x20, 0x300},    {0x300, 0x370},   {0x590, 0x5F0},   {0x900, 0x980},
      {0x1100, 0x1200}, {0x1E00, 0x2000}, {0xAC00, 0xAC60}, {0x4E00, 0x4E10}};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (int length = 1 + static_cast<int>(random() % 12); length > 0;
         --length) {
      const auto& range = ranges[random() % std::size(ranges)];
      AppendUtf8(
          range[0] + static_cast<uint32_t>(random() % (range[1] - range[0])),
          &text);
    }
    const std::string composed = Nfc(text);
    ASSERT_EQ(composed, OracleNfc(text)) << text;
    ASSERT_EQ(Nfc(composed), composed);
  }
}

// A million marks on one letter: sorting them in quadratic time takes hours.
TEST(NfcTest, TakesNearLinearTime) {
  std::string text = "e";
  for (int i = 0; i < 500000; ++i) text += "\u0301\u0323";
  const auto began = std::chrono::steady_clock::now();
  const std::string composed = Nfc(text);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  EXPECT_EQ(composed.substr(0, 5), "\u1eb9\u0323");
  EXPECT_EQ(composed.size(), text.size() - 1 - 4 + 3 + 2);
}

TEST(NfcTest, NamesItsVersionOfUnicode) {
  EXPECT_EQ(UnicodeVersion(), utf8proc_unicode_version());
}

}  // namespace
}  // namespace tandem
