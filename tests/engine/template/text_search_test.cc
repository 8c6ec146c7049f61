#include "engine/template/text_search.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TextSearchTest, SearchesBetweenTwoPlaces) {
  EXPECT_EQ(Rendered("{{ 'éabab'.find('ab', 2) }}{{ 'éabab'.rfind('ab', 0, 4) "
                     "}}{{ 'éabab'.count('b', -2) }}"
                     "{{ 'éabab'.startswith('a', 1) }}"),
            "311True");
  EXPECT_EQ(Rendered("{{ 'abc'.find('', 4) }}{{ 'abc'.startswith('', 4) }}"),
            "-1False");
  EXPECT_EQ(Rendered("{{ 'abc'.index('c', 0, 2) }}"),
            "line 1, column 15: index(): the text is not found");
}

TEST(TextSearchTest, FindsTheLastWithinItsSteps) {
  RenderBudget budget({.steps_max = 10});
  EXPECT_EQ(FindLast("abcabc", "bc", budget).value(), 4);
  EXPECT_FALSE(FindLast(std::string(6400, 'a'), "b", budget).ok());
}

}  // namespace
}  // namespace tandem
