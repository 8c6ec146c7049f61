#include "engine/tokenizer/character_class.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace tandem {
namespace {

// The property White_Space (Unicode 15, PropList.txt).
constexpr uint32_t kWhiteSpaces[] = {
    0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
    0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
    0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};

TEST(CharacterClassTest, WhiteSpaceIsTheProperty) {
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    const bool expected =
        std::find(std::begin(kWhiteSpaces), std::end(kWhiteSpaces), point) !=
        std::end(kWhiteSpaces);
    ASSERT_EQ((ClassesOf(point) & kWhiteSpace) != 0, expected) << point;
    ASSERT_EQ((ClassesOf(point) & kNewline) != 0,
              point == '\r' || point == '\n');
  }
}

TEST(CharacterClassTest, KnowsTheCategories) {
  EXPECT_EQ(ClassesOf('A'), kUpper);
  EXPECT_EQ(ClassesOf('z'), kLower);
  EXPECT_EQ(ClassesOf(0x01C5), kTitle);
  EXPECT_EQ(ClassesOf(0x02B0), kModifier);
  EXPECT_EQ(ClassesOf(0x4E2D), kOtherLetter);
  EXPECT_EQ(ClassesOf(0x0301), kMark);    // Mn
  EXPECT_EQ(ClassesOf(0x0903), kMark);    // Mc
  EXPECT_EQ(ClassesOf(0x20DD), kMark);    // Me
  EXPECT_EQ(ClassesOf('7'), kNumber);     // Nd
  EXPECT_EQ(ClassesOf(0x2167), kNumber);  // Nl
  EXPECT_EQ(ClassesOf(0x00B2), kNumber);  // No
  for (const uint32_t point : {0x5F, 0x2D, 0x28, 0x29, 0xAB, 0xBB, 0x21}) {
    EXPECT_EQ(ClassesOf(point), kPunctuation) << point;
  }
  for (const uint32_t point : {0x24, 0x2B, 0x5E, 0x1F600, 0x200D, 0, 0x7F}) {
    EXPECT_EQ(ClassesOf(point), 0u) << point;
  }
}

TEST(CharacterClassTest, ReadsOneCharacter) {
  const auto expect = [](absl::string_view text, uint32_t point,
                         uint32_t bytes) {
    const Character character = FirstCharacter(text);
    EXPECT_EQ(character.code_point, point);
    EXPECT_EQ(character.bytes, bytes);
    if (bytes > 0) {
      EXPECT_EQ(character.classes, ClassesOf(point));
    }
  };
  expect("ab", 'a', 1);
  expect("\u00e9x", 0xE9, 2);
  expect("\u4e2dx", 0x4E2D, 3);
  expect("\U0001F600x", 0x1F600, 4);
  expect(absl::string_view("\0", 1), 0, 1);
  expect("", 0, 0);
  // Not UTF-8: byte by byte.
  expect("\xff", 0xFFFD, 1);
  expect("\xe2\x82", 0xFFFD, 1);
  expect("\xed\xa0\x80", 0xFFFD, 1);
}

}  // namespace
}  // namespace tandem
