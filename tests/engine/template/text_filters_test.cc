#include "engine/template/text_filters.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TextFiltersTest, LaysOutTexts) {
  EXPECT_EQ(Rendered("{{ 'a\\nb\\n\\nc'|indent(2) }}"), "a\n  b\n\n  c");
  EXPECT_EQ(Rendered("{{ 'abc def ghi jkl'|truncate(9, leeway=0) }}"),
            "abc...");
  EXPECT_EQ(Rendered("{{ 'hello-world (x)'|title }}{{ 'a b_c d'|wordcount }}"),
            "Hello-World (X)3");
}

TEST(TextFiltersTest, SeparatorsOfJsonAreTwoTexts) {
  EXPECT_EQ(Rendered("{{ [1, 2]|tojson(separators=(';', ':')) }}"), "[1;2]");
  EXPECT_EQ(Rendered("{{ 1|tojson(separators=1) }}"),
            "line 1, column 6: |tojson: separators must be two texts");
}

}  // namespace
}  // namespace tandem
