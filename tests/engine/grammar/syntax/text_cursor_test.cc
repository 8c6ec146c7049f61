#include "engine/grammar/syntax/text_cursor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {
namespace {

TEST(TextCursorTest, ReadsCharacters) {
  TextCursor cursor = *TextCursor::Of("a\xC3\xA9{12}4F");
  EXPECT_EQ(cursor.Next(), uint32_t{'a'});
  EXPECT_EQ(cursor.Peek(1), uint32_t{'{'});
  EXPECT_EQ(cursor.Next(), 0xE9u);
  EXPECT_FALSE(cursor.Take("{2"));
  EXPECT_TRUE(cursor.Take("{"));
  EXPECT_EQ(cursor.TakeNumber(100), 12u);
  EXPECT_EQ(cursor.TakeNumber(100), std::nullopt);
  EXPECT_EQ(cursor.TakeHex(2), std::nullopt);
  EXPECT_TRUE(cursor.Take("}"));
  EXPECT_EQ(cursor.TakeHex(3), std::nullopt);
  EXPECT_EQ(cursor.TakeHex(2), 0x4Fu);
  EXPECT_TRUE(cursor.AtEnd());
  EXPECT_EQ(cursor.Next(), TextCursor::kEnd);
}

TEST(TextCursorTest, NumbersEndAtTheirMost) {
  EXPECT_EQ(TextCursor::Of("99999999999999999999")->TakeNumber(1000), 1001u);
}

TEST(TextCursorTest, ErrorsNameThePlace) {
  const TextCursor cursor = *TextCursor::Of(
      "ab\n\xC3\xA9"
      "cd");
  EXPECT_EQ(cursor.ErrorAt(5, "no").message(), "character 6: no");
  EXPECT_EQ(cursor.LineErrorAt(1, "no").message(), "line 1, column 2: no");
  EXPECT_EQ(cursor.LineErrorAt(5, "no").message(), "line 2, column 3: no");
}

TEST(TextCursorTest, RefusesWhatIsNoTextOrTooLong) {
  EXPECT_EQ(TextCursor::Of("ab\xFF").status().message(),
            "is not UTF-8 at byte 2");
  EXPECT_FALSE(
      TextCursor::Of(std::string(kGrammarSourceBytesMax + 1, 'a')).ok());
  EXPECT_TRUE(TextCursor::Of(std::string(kGrammarSourceBytesMax, 'a')).ok());
}

}  // namespace
}  // namespace tandem
