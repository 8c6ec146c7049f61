#include "tools/tandem/base/terminal_text.h"

#include <sstream>

#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

TEST(HarmlessTextTest, KeepsWhatIsText) {
  for (const char* text : {"", "a b", "one\ntwo\tthree\n", "n\u00e4\u00efve",
                           "\u00a0", "\u732b \U0001f600", "e\u0301"}) {
    EXPECT_EQ(HarmlessText(text), text);
  }
}

TEST(HarmlessTextTest, ReplacesControlCharacters) {
  EXPECT_EQ(HarmlessText("a\x1b[2Jb"), "a\uFFFD[2Jb");
  EXPECT_EQ(HarmlessText("\x1b]0;title\x07"), "\uFFFD]0;title\uFFFD");
  EXPECT_EQ(HarmlessText("a\rb\bc\x7f"), "a\uFFFDb\uFFFDc\uFFFD");
  // CSI as one character of C1, and its neighbours.
  EXPECT_EQ(HarmlessText("\u009b2J"), "\uFFFD2J");
  EXPECT_EQ(HarmlessText("\u0080\u009f\u00a0"), "\uFFFD\uFFFD\u00a0");
  EXPECT_EQ(HarmlessText(absl::string_view("\0", 1)), "\uFFFD");
}

TEST(HarmlessTextTest, ReplacesWhatIsNotUtf8) {
  // CSI as one byte.
  EXPECT_EQ(HarmlessText("a\x9b"
                         "2J"),
            "a\uFFFD2J");
  EXPECT_EQ(HarmlessText("\xe7\x8c"), "\uFFFD");
}

TEST(HarmlessTextTest, EveryControlCharacterOfC0IsHarmlessAfterwards) {
  for (char c = 0; c < 0x20; ++c) {
    const std::string text = HarmlessText(std::string(1, c));
    EXPECT_EQ(text, c == '\n' || c == '\t' ? std::string(1, c) : "\uFFFD");
  }
}

TEST(PrintStyledTest, EachLineHasTheStyle) {
  std::ostringstream out;
  PrintStyled("a\n\nb\x1b", kDim, {.out = &out, .out_is_terminal = true});
  EXPECT_EQ(out.str(), "\x1b[2ma\x1b[0m\n\n\x1b[2mb\xef\xbf\xbd\x1b[0m");
}

TEST(PrintTextTest, AFileGetsTheBytes) {
  std::ostringstream out;
  Io io = {.out = &out};
  PrintText("\x1b[m", io);
  EXPECT_EQ(out.str(), "\x1b[m");
  io.out_is_terminal = true;
  PrintText("\x1b[m", io);
  EXPECT_EQ(out.str(), "\x1b[m\uFFFD[m");
}

}  // namespace
}  // namespace tandem::cli
