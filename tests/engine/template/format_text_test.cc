#include "engine/template/format_text.h"

#include <gtest/gtest.h>

#include <ctime>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(FormatTextTest, FormatsTimes) {
  std::tm time = {};
  time.tm_year = 126;
  time.tm_mon = 10;
  time.tm_mday = 8;
  RenderBudget budget({});
  EXPECT_EQ(FormatTime("%d %b %Y, 100%%%Z", time, budget), "08 Nov 2026, 100%");
  EXPECT_TRUE(budget.ok());
  for (const absl::string_view unknown : {"%Q", "%"}) {
    RenderBudget failing({});
    FormatTime(unknown, time, failing);
    EXPECT_FALSE(failing.ok());
  }
}

TEST(FormatTextTest, WhatAFormatOfTheCallersBringsInIsContent) {
  const TemplateVariables variables = {
      {"f", TemplateValue::Content("{:x>3}|%Y")}};
  EXPECT_EQ(Rendered("{{ f.format('a') }}", variables), "«xx»a«|%Y»");
  EXPECT_EQ(Rendered("{{ strftime_now(f) }}", variables), "«{:x>3}|1900»");
  EXPECT_EQ(
      Rendered("{{ dict(**{f: 1}) }}{{ namespace(**{f: 1}) }}", variables),
      "{'«{:x>3}|%Y»': 1}<Namespace {'«{:x>3}|%Y»': 1}>");
}

TEST(FormatTextTest, FormatsValues) {
  EXPECT_EQ(Rendered("{{ '%05d|%-4s|%.2f|%%' % (42, 'a', 2.5) }}"),
            "00042|a   |2.50|%");
  EXPECT_EQ(Rendered("{{ '%d(%d)' % (1, 2) }}"), "1(2)");
  EXPECT_EQ(Rendered("{{ '{0:>4}|{a!r}|{{}}'.format(5, a='b') }}"),
            "   5|'b'|{}");
  EXPECT_EQ(Rendered("{{ '%s %s' % 1 }}"),
            "line 1, column 12: a format with % has more fields than values");
}

TEST(FormatTextTest, RefusesFormatsThatAreNotKnown) {
  EXPECT_EQ(Rendered("{{ '{:.3}'.format(3.0) }}"),
            "line 1, column 18: format(): format() has a precision without a "
            "kind, such as f or g");
  EXPECT_EQ(Rendered("{{ '{:010,}'.format(1234) }}"),
            "line 1, column 20: format(): format() has both groups of digits "
            "and a fill behind the sign");
}

}  // namespace
}  // namespace tandem
