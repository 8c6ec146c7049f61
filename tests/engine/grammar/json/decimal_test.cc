#include "engine/grammar/json/decimal.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

std::string Shown(const char* number) {
  const auto decimal = DecimalOf(number);
  if (!decimal.has_value()) return "none";
  return absl::StrCat(decimal->is_negative ? "-" : "", decimal->whole, ".",
                      decimal->fraction);
}

TEST(DecimalTest, ReadsEverySpelling) {
  EXPECT_EQ(Shown("0"), "0.");
  EXPECT_EQ(Shown("-0.00"), "0.");
  EXPECT_EQ(Shown("12.340"), "12.34");
  EXPECT_EQ(Shown("-0.5e1"), "-5.");
  EXPECT_EQ(Shown("1e3"), "1000.");
  EXPECT_EQ(Shown("1.25E+1"), "12.5");
  EXPECT_EQ(Shown("125e-4"), "0.0125");
  EXPECT_EQ(Shown("100e-2"), "1.");
  EXPECT_EQ(Shown("0.001e2"), "0.1");
  EXPECT_EQ(Shown("1e59"), "1" + std::string(59, '0') + ".");
  EXPECT_EQ(Shown("1e60"), "none");
  EXPECT_EQ(Shown("1e-61"), "none");
  EXPECT_EQ(Shown("1e99999999999"), "none");
}

TEST(DecimalTest, ComparesAsNumbersDo) {
  const std::vector<const char*> numbers = {"-12",  "-2.5", "-2.25", "-0.1",
                                            "0",    "0.1",  "0.11",  "1",
                                            "1.05", "9",    "10",    "100.5"};
  for (const char* a : numbers) {
    for (const char* b : numbers) {
      const double difference = std::atof(a) - std::atof(b);
      const int expected = difference < 0 ? -1 : difference > 0 ? 1 : 0;
      EXPECT_EQ(Compare(*DecimalOf(a), *DecimalOf(b)), expected) << a << b;
    }
  }
}

TEST(DecimalTest, CountsUpAndDown) {
  EXPECT_EQ(NextDigits("0"), "1");
  EXPECT_EQ(NextDigits("1999"), "2000");
  EXPECT_EQ(NextDigits("99"), "100");
  EXPECT_EQ(PreviousDigits("100"), "99");
  EXPECT_EQ(PreviousDigits("1"), "0");
  EXPECT_EQ(PreviousDigits("2000"), "1999");
}

TEST(DecimalTest, ZeroHasNoSign) {
  EXPECT_EQ(DecimalOf("0")->Negated(), *DecimalOf("0"));
  EXPECT_EQ(DecimalOf("3")->Negated(), *DecimalOf("-3"));
}

}  // namespace
}  // namespace tandem
