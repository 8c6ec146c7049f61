#include "services/common/flag_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace tandem {
namespace {

using ::testing::HasSubstr;

// What the validator says of `text`; "" where it takes it.
std::string Check(const CLI::Validator& validator, std::string text) {
  return validator(text);
}

TEST(FlagValuesTest, WholeNumbersAreDecimalAndInRange) {
  const CLI::Validator validator = WholeNumber(1, 1048576);
  for (const char* good : {"1", "1048576", "007"}) {
    EXPECT_EQ(Check(validator, good), "") << good;
  }
  for (const char* bad : {"", "0", "-1", "1048577", "99999999999", "abc", "1.5",
                          "1e3", "0x10", "nan", "9223372036854775808", "1 2"}) {
    EXPECT_THAT(Check(validator, bad),
                HasSubstr(" is not a whole number from 1 to 1048576"))
        << bad;
  }
  EXPECT_EQ(Check(validator, "99999999999"),
            "\"99999999999\" is not a whole number from 1 to 1048576");
}

TEST(FlagValuesTest, WhatIsTakenIsWhatTheParserReads) {
  std::string text = "010";  // CLI11 would read 8
  EXPECT_EQ(WholeNumber(0, 100)(text), "");
  EXPECT_EQ(text, "10");
}

TEST(FlagValuesTest, UnsignedNumbersDoNotWrapRound) {
  EXPECT_EQ(Check(AnyUnsigned(), "18446744073709551615"), "");
  for (const char* bad : {"-1", "18446744073709551616", "1.5", ""}) {
    EXPECT_THAT(Check(AnyUnsigned(), bad),
                HasSubstr("is not a whole number from 0 to "
                          "18446744073709551615"))
        << bad;
  }
}

TEST(FlagValuesTest, NumbersInRange) {
  const CLI::Validator validator = Number(0, 100);
  for (const char* good : {"0", "100", "0.7", "1e-3", "1e-310"}) {
    EXPECT_EQ(Check(validator, good), "") << good;
  }
  for (const char* bad : {"abc", "-1", "nan", "inf", "1e999", "", "100.01"}) {
    EXPECT_THAT(Check(validator, bad), HasSubstr("is not a number from 0 to "
                                                 "100"))
        << bad;
  }
  EXPECT_EQ(Check(Number(0.001, 60e6), "0"),
            "\"0\" is not a number from 0.001 to 60000000");
}

TEST(FlagValuesTest, LongValuesAreCutAndStayOneLine) {
  const std::string digits(309, '9');
  const std::string message = Check(WholeNumber(0, 9), digits);
  EXPECT_LT(message.size(), 100u);
  EXPECT_THAT(message, HasSubstr("999...\""));
  EXPECT_EQ(QuotedValue("a\nb"), "\"a\\nb\"");
  // Cut before a character of three bytes, not inside it.
  EXPECT_EQ(QuotedValue(std::string(39, 'x') + "\xe2\x82\xac"),
            "\"" + std::string(39, 'x') + "...\"");
}

TEST(FlagValuesTest, NamesAreListedAndTheNearestIsSuggested) {
  const CLI::Validator validator = OneOf({"draft", "target"});
  EXPECT_EQ(Check(validator, "target"), "");
  EXPECT_EQ(Check(validator, "drfat"),
            "\"drfat\" is not one of draft, target; did you mean draft?");
  EXPECT_EQ(Check(validator, "x"), "\"x\" is not one of draft, target");
}

TEST(FlagValuesTest, AutoOrANumber) {
  const CLI::Validator validator = AutoOrWholeNumber(0, 16);
  EXPECT_EQ(Check(validator, "auto"), "");
  EXPECT_EQ(Check(validator, "16"), "");
  for (const char* bad : {"17", "Auto", "", "-1"}) {
    EXPECT_THAT(Check(validator, bad),
                HasSubstr("is neither auto nor a whole number from 0 to 16"));
  }
}

TEST(FlagValuesTest, NotEmptySaysWhatIsMissing) {
  EXPECT_EQ(Check(NotEmpty("an address"), "a"), "");
  EXPECT_EQ(Check(NotEmpty("an address"), ""), "an address is missing");
}

TEST(FlagValuesTest, NearestName) {
  const std::vector<std::string> names = {"--max-tokens", "--temperature",
                                          "--top-p", "--top-k", "--seed"};
  EXPECT_EQ(NearestName("--max-token", names), "--max-tokens");
  EXPECT_EQ(NearestName("--max-tokns", names), "--max-tokens");
  EXPECT_EQ(NearestName("-max-tokens", names), "--max-tokens");
  EXPECT_EQ(NearestName("--temp", names), "--temperature");
  EXPECT_EQ(NearestName("--sede", names), "--seed");
  EXPECT_EQ(NearestName("--toppk", names), "--top-k");
  EXPECT_EQ(NearestName("--top", names), "--top-p") << "the first of two";
  EXPECT_EQ(NearestName("--bananas", names), "");
  EXPECT_EQ(NearestName("", names), "");
  EXPECT_EQ(NearestName(std::string(100000, 'x'), names), "");
}

}  // namespace
}  // namespace tandem
