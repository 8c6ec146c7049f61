#include <gtest/gtest.h>

#include <string>

#include "engine/template/builtins.h"
#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TextBuiltinsTest, SplitsAndJoins) {
  EXPECT_EQ(Rendered("{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a  b '.split() }}"
                     "{{ 'aXb'.partition('X') }}{{ 'a\\r\\nb'.splitlines() }}"),
            "['a,b', 'c']['a', 'b']('a', 'X', 'b')['a', 'b']");
  EXPECT_EQ(Rendered("{{ ','.join([1]) }}"),
            "line 1, column 12: join(): needs a text, is given a whole number");
}

TEST(TextBuiltinsTest, ReplacesBetweenCharacters) {
  EXPECT_EQ(Rendered("{{ 'éa'.replace('', '-') }}"), "-é-a-");
  EXPECT_EQ(Rendered("{{ 'aaa'.replace('a', 'b', 2) }}"), "bba");
}

TEST(TextBuiltinsTest, LaysOutTexts) {
  EXPECT_EQ(Rendered("{{ 'a\\nb\\n\\nc'|indent(2) }}"), "a\n  b\n\n  c");
  EXPECT_EQ(Rendered("{{ 'abc def ghi jkl'|truncate(9, leeway=0) }}"),
            "abc...");
  EXPECT_EQ(Rendered("{{ 'hello-world (x)'|title }}{{ 'a b_c d'|wordcount }}"),
            "Hello-World (X)3");
}

TEST(TextBuiltinsTest, SeparatorsOfJsonAreTwoTexts) {
  EXPECT_EQ(Rendered("{{ [1, 2]|tojson(separators=(';', ':')) }}"), "[1;2]");
  EXPECT_EQ(Rendered("{{ 1|tojson(separators=1) }}"),
            "line 1, column 6: |tojson: separators must be two texts");
}

TEST(TextBuiltinsTest, SearchesBetweenTwoPlaces) {
  EXPECT_EQ(Rendered("{{ 'éabab'.find('ab', 2) }}{{ 'éabab'.rfind('ab', 0, 4) "
                     "}}{{ 'éabab'.count('b', -2) }}"
                     "{{ 'éabab'.startswith('a', 1) }}"),
            "311True");
  EXPECT_EQ(Rendered("{{ 'abc'.find('', 4) }}{{ 'abc'.startswith('', 4) }}"),
            "-1False");
  EXPECT_EQ(Rendered("{{ 'abc'.index('c', 0, 2) }}"),
            "line 1, column 15: index(): the text is not found");
}

TEST(TextBuiltinsTest, FindsTheLastWithinItsSteps) {
  RenderBudget budget({.steps_max = 10});
  EXPECT_EQ(FindLast("abcabc", "bc", budget), 4);
  FindLast(std::string(6400, 'a'), "b", budget);
  EXPECT_FALSE(budget.ok());
}

}  // namespace
}  // namespace tandem
