#include "engine/template/characters.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

TEST(CharactersTest, CountsCharacters) {
  EXPECT_EQ(CountCharacters("aé\u3000\U0001F600"), 4);
  EXPECT_EQ(CharacterOffset("aé\u3000b", 2), 3);
  EXPECT_EQ(CharacterOffset("ab", 9), 2);
  EXPECT_EQ(CodePointOf("\u3000x"), 0x3000);
  EXPECT_EQ(Utf8Of(0x1F600), "\U0001F600");
  EXPECT_EQ(CutText("aé", 2), "a");
}

TEST(CharactersTest, BytesThatAreNotUtf8BelongToTheCharacterBefore) {
  EXPECT_EQ(CountCharacters("\x80"), 1);
  EXPECT_EQ(CharacterBytes("a\x80\x80z", 0), 3);
  EXPECT_EQ(CodePointOf("\xFF"), 0xFFFD);
  EXPECT_EQ(UpperOf("\xFF"), "\xFF");
}

TEST(CharactersTest, StripsAsPython) {
  const auto stripped = StripSpace("\u3000\x1C a \u00A0", TextEnds::kBoth);
  EXPECT_EQ(stripped.first, 5);
  EXPECT_EQ(stripped.second, 6);
  EXPECT_EQ(StripSpace(" a ", TextEnds::kLeft).second, 3);
  EXPECT_EQ(StripSet("éaé", "é", TextEnds::kRight).second, 3);
  EXPECT_FALSE(IsSpace(0x200B));
}

TEST(CharactersTest, ChangesCase) {
  EXPECT_EQ(UpperOf("ß"), "SS");
  EXPECT_EQ(TitleOf("ﬁ"), "Fi");
  EXPECT_EQ(LowerOf("É"), "é");
}

TEST(CharactersTest, FindsInTimeThatGrowsWithTheSizes) {
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(FindBytes(text, text.substr(0, 1 << 19) + "b", 0),
            absl::string_view::npos);
  EXPECT_EQ(FindBytes("abcabc", "c", 3), 5);
  EXPECT_EQ(FindBytes("abc", "", 3), 3);
}

TEST(CharactersTest, KnowsCasesOfWhatIsNoLetter) {
  EXPECT_TRUE(IsUpper(0x2167));  // a Roman numeral
  EXPECT_TRUE(IsLower(0x2B0));   // a modifier letter
  EXPECT_EQ(FoldedOf("ß"), "ss");
  EXPECT_EQ(FoldedOf("ς"), "σ");
  EXPECT_EQ(FoldedOf("\xFF"), "\xFF");
}

}  // namespace
}  // namespace tandem
