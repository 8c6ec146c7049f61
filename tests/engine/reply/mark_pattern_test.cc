#include "engine/reply/mark_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace tandem {
namespace {

using Kind = MarkMatch::Kind;
using ::testing::ElementsAre;

const std::vector<ControlMark>& Controls() {
  static const auto* const controls = new std::vector<ControlMark>{
      {.name = "[T]", .id = 5}, {.name = "[T][", .id = 6}};
  return *controls;
}

MarkMatch MatchText(absl::string_view mark, absl::string_view text) {
  return MarkPattern(mark, Controls()).Match(SymbolsOf(text, Controls()));
}

TEST(MarkPatternTest, SymbolsAreBytesAndTheLongestControlTokens) {
  EXPECT_THAT(SymbolsOf("a\xff[T]x[T][", Controls()),
              ElementsAre('a', 0xff, ControlSymbol(5), 'x', ControlSymbol(6)));
  EXPECT_THAT(SymbolsOf("[T]", {}), ElementsAre('[', 'T', ']'));
}

TEST(MarkPatternTest, ATextMatchesOrMayGoOnOrDoesNot) {
  const std::string mark = "<call>";
  for (size_t bytes = 0; bytes < mark.size(); ++bytes) {
    EXPECT_EQ(MatchText(mark, mark.substr(0, bytes)).kind, Kind::kPrefix);
    EXPECT_EQ(MatchText(mark, mark.substr(0, bytes) + "!").kind, Kind::kNone);
  }
  EXPECT_EQ(MatchText(mark, "<call>{").kind, Kind::kWhole);
  EXPECT_EQ(MatchText(mark, "<call>{").length, 6u);
  EXPECT_EQ(MatchText("", "x").kind, Kind::kWhole);
}

TEST(MarkPatternTest, WhiteSpaceMayDifferAroundThePunctuationOfJson) {
  const std::string mark = "\n<c>\n{\"name\": \"";
  for (const char* text :
       {"<c>\n{\"name\": \"", "<c>{\"name\":\"", "<c> { \"name\" :\n\""}) {
    EXPECT_EQ(MatchText(mark, text).length, std::string(text).size()) << text;
  }
  EXPECT_EQ(MatchText(mark, "< c>").kind, Kind::kNone);
  EXPECT_EQ(MatchText(mark, "<c>{\"na me").kind, Kind::kNone);
  // Before the mark only where that is asked for.
  EXPECT_EQ(MatchText("}", " }").kind, Kind::kNone);
  EXPECT_EQ(MarkPattern("}", {}).MatchAfterSpace(SymbolsOf(" }", {})).length,
            2u);
}

TEST(MarkPatternTest, WhiteSpaceHasALimit) {
  const std::string most(MarkPattern::kMarkSpaceMax, ' ');
  EXPECT_EQ(MatchText("a b", "a" + most + "b").kind, Kind::kWhole);
  EXPECT_EQ(MatchText("a b", "a" + most).kind, Kind::kPrefix);
  EXPECT_EQ(MatchText("a b", "a" + most + " ").kind, Kind::kNone);
}

TEST(MarkPatternTest, ANameInBracketsIsNotPunctuation) {
  EXPECT_EQ(MarkPattern("[ARGS]", {}).Match(SymbolsOf("[ ARGS]", {})).kind,
            Kind::kNone);
  EXPECT_EQ(MarkPattern("[X][", {}).Match(SymbolsOf("[X] [", {})).kind,
            Kind::kWhole);
}

TEST(MarkPatternTest, TheNameOfAControlTokenInTheTextIsNoMark) {
  const MarkPattern pattern("[T]", Controls());
  EXPECT_EQ(pattern.Match(SymbolsOf("[T]", {})).kind, Kind::kNone);
  EXPECT_EQ(pattern.Match(SymbolsOf("[T]", Controls())).length, 1u);
}

}  // namespace
}  // namespace tandem
