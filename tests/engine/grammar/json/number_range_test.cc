#include "engine/grammar/json/number_range.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

std::vector<NumberRange> Ranges(const std::vector<std::string>& numbers) {
  std::vector<std::optional<NumberBound>> bounds = {std::nullopt};
  for (const std::string& number : numbers) {
    bounds.push_back(NumberBound{*DecimalOf(number), false});
    bounds.push_back(NumberBound{*DecimalOf(number), true});
  }
  std::vector<NumberRange> ranges;
  for (const auto& low : bounds) {
    for (const auto& high : bounds) ranges.push_back({low, high});
  }
  return ranges;
}

std::string Shown(const NumberRange& range) {
  const auto shown = [](const std::optional<NumberBound>& bound) {
    return bound.has_value()
               ? absl::StrCat(bound->is_exclusive ? "exclusive " : "",
                              bound->value.is_negative ? "-" : "",
                              bound->value.whole, ".", bound->value.fraction)
               : "none";
  };
  return absl::StrCat(shown(range.low), " to ", shown(range.high));
}

// The grammar of numbers in a range, with x behind each; "x" alone is in it, so
// that empty ranges have one.
Grammar GrammarOfRange(const NumberRange& range, bool whole) {
  GrammarBuilder b;
  const ExprId numbers = whole ? IntegersIn(range, &b) : NumbersIn(range, &b);
  return GrammarOf(&b,
                   b.Sequence({b.OneOf({numbers, b.Empty()}), b.Literal("x")}));
}

TEST(NumberRangeTest, IntegersAreThoseInTheRange) {
  for (const NumberRange& range :
       Ranges({"-123", "-9.5", "-1", "0", "7", "105", "1000"})) {
    const Grammar grammar = GrammarOfRange(range, true);
    for (int number = -140; number <= 1100; number += number < 120 ? 1 : 7) {
      const std::string text = absl::StrCat(number);
      ASSERT_EQ(Matches(grammar, text + "x"), range.Contains(*DecimalOf(text)))
          << text << " in " << Shown(range);
    }
    for (const char* text : {"01x", "1.0x", "1e1x", "-x", "--1x", "+1x"}) {
      EXPECT_FALSE(Matches(grammar, text)) << text;
    }
  }
}

TEST(NumberRangeTest, NumbersAreThoseInTheRange) {
  const std::vector<std::string> numbers = {"-12.5", "-2.25", "-1", "0",
                                            "0.05",  "1.1",   "2",  "12.75"};
  std::vector<std::string> texts;
  for (int whole = -15; whole <= 15; ++whole) {
    for (const char* fraction :
         {"", ".0", ".04", ".05", ".050", ".06", ".1", ".10", ".11", ".2",
          ".249", ".25", ".251", ".5", ".500", ".7499", ".75", ".7501",
          ".999"}) {
      texts.push_back(absl::StrCat(whole, fraction));
    }
  }
  for (const NumberRange& range : Ranges(numbers)) {
    const Grammar grammar = GrammarOfRange(range, false);
    for (const std::string& text : texts) {
      ASSERT_EQ(Matches(grammar, text + "x"), range.Contains(*DecimalOf(text)))
          << text << " in " << Shown(range);
    }
    EXPECT_FALSE(Matches(grammar, "1.x"));
    EXPECT_FALSE(Matches(grammar, "1e0x"));
    EXPECT_FALSE(Matches(grammar, ".5x"));
  }
}

TEST(NumberRangeTest, BesideAnExclusiveBoundDoublesAreOnItsRightSide) {
  const NumberRange range = {.low = NumberBound{*DecimalOf("0.1"), true}};
  const Grammar grammar = GrammarOfRange(range, false);
  EXPECT_FALSE(Matches(grammar, "0.10000000000000000001x"));
  EXPECT_TRUE(Matches(grammar, "0.10000000000001x"));
  EXPECT_TRUE(Matches(grammar, "123456789.1234567890123456789x"));
  const NumberRange inclusive = {.low = NumberBound{*DecimalOf("0.1"), false}};
  EXPECT_TRUE(
      Matches(GrammarOfRange(inclusive, false), "0.10000000000000000001x"));
}

TEST(NumberRangeTest, NarrowsToTheNarrower) {
  NumberRange range;
  EXPECT_TRUE(range.IsAll());
  range.NarrowLow({*DecimalOf("1"), false});
  range.NarrowLow({*DecimalOf("0"), true});
  range.NarrowHigh({*DecimalOf("5"), false});
  range.NarrowHigh({*DecimalOf("5"), true});
  range.NarrowHigh({*DecimalOf("6"), true});
  EXPECT_TRUE(range.Contains(*DecimalOf("1")));
  EXPECT_TRUE(range.Contains(*DecimalOf("4.9")));
  EXPECT_FALSE(range.Contains(*DecimalOf("5")));
  EXPECT_FALSE(range.Contains(*DecimalOf("0.5")));
}

TEST(NumberRangeTest, DisjointRangesTouchAtMost) {
  const NumberRange low = {.high = NumberBound{*DecimalOf("5"), false}};
  const NumberRange above = {.low = NumberBound{*DecimalOf("5"), true}};
  const NumberRange from = {.low = NumberBound{*DecimalOf("5"), false}};
  EXPECT_TRUE(low.IsDisjoint(above));
  EXPECT_TRUE(above.IsDisjoint(low));
  EXPECT_FALSE(low.IsDisjoint(from));
  EXPECT_FALSE(low.IsDisjoint(NumberRange()));
}

}  // namespace
}  // namespace tandem
