#include "engine/grammar/json/string_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/grammar/syntax/regex_parser.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

Grammar GrammarOfFormat(const std::string& format) {
  GrammarBuilder builder;
  const auto expr =
      ParseRegex(RegexOfFormat(format), RegexMatch::kWhole, &builder);
  EXPECT_TRUE(expr.ok()) << format << " " << expr.status();
  return expr.ok() ? GrammarOf(&builder, *expr) : Grammar();
}

struct FormatCase {
  const char* format;
  std::vector<const char*> good;
  std::vector<const char*> bad;
};

TEST(StringFormatsTest, TakeWhatTheyName) {
  const std::vector<FormatCase> cases = {
      {"date",
       {"2024-02-29", "1999-12-31", "2000-02-29", "0001-01-01", "0400-02-29"},
       {"2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "0000-01-01",
        "24-01-01", "2024-1-1", "2024-01-32"}},
      {"time",
       {"23:59:59Z", "00:00:00.123+01:30", "12:34:56-23:59"},
       {"24:00:00Z", "12:34Z", "12:34:56", "12:60:00Z", "12:34:56.Z"}},
      {"date-time",
       {"2024-02-29T12:00:00Z", "1985-04-12T23:20:50.52+00:00"},
       {"2024-02-29", "2024-02-30T12:00:00Z", "2024-02-29 12:00:00Z"}},
      {"duration",
       {"P1Y2M3DT4H5M6S", "PT1H", "P4W", "P1D", "PT36H"},
       {"P", "PT", "P1S", "1D", "P1W2D", "P1DT"}},
      {"email",
       {"a.b+c@example.org", "x@y"},
       {"a", "@b", "a@", "a..b@c", "a b@c"}},
      {"hostname",
       {"a", "a1", "a-b", "a--b", "ab-c", "abc--d", "a-b-c",
        "www.example-1.com"},
       {"", "-a", "a-", "a..b", "a_b", "ab--c", "xn--X", "a.xn--l-fda"}},
      {"ipv4",
       {"0.0.0.0", "255.255.255.255", "10.9.8.7"},
       {"256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"}},
      {"ipv6",
       {"::", "::1", "1::", "1:2:3:4:5:6:7:8", "fe80::a:b",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8"},
       {"1:2:3", "1::2::3", "12345::", "1:2:3:4:5:6:7:8:9", ":1", "g::"}},
      {"uri",
       {"https://example.org:80/a%20b?q=1#f", "urn:a:b", "mailto:a@b.c"},
       {"example.org", "//a", "http:// a", "1a:b", "a:%zz"}},
      {"uuid",
       {"123e4567-e89b-12d3-a456-426614174000"},
       {"123e4567e89b12d3a456426614174000",
        "123e4567-e89b-12d3-a456-42661417400g"}}};
  for (const FormatCase& each : cases) {
    const Grammar grammar = GrammarOfFormat(each.format);
    for (const char* text : each.good) {
      EXPECT_TRUE(Matches(grammar, text)) << each.format << " " << text;
    }
    for (const char* text : each.bad) {
      EXPECT_FALSE(Matches(grammar, text)) << each.format << " " << text;
    }
    EXPECT_THAT(FormatNames(), ::testing::HasSubstr(each.format));
  }
}

TEST(StringFormatsTest, OthersAreUnknown) {
  EXPECT_EQ(RegexOfFormat("regex"), "");
}

}  // namespace
}  // namespace tandem
