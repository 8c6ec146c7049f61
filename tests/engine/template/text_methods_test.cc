#include "engine/template/text_methods.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TextMethodsTest, SplitsAndJoins) {
  EXPECT_EQ(Rendered("{{ 'a,b,c'.rsplit(',', 1) }}{{ ' a  b '.split() }}"
                     "{{ 'aXb'.partition('X') }}{{ 'a\\r\\nb'.splitlines() }}"),
            "['a,b', 'c']['a', 'b']('a', 'X', 'b')['a', 'b']");
  EXPECT_EQ(Rendered("{{ ','.join([1]) }}"),
            "line 1, column 12: join(): needs a text, is given a whole number");
}

TEST(TextMethodsTest, ReplacesBetweenCharacters) {
  EXPECT_EQ(Rendered("{{ 'éa'.replace('', '-') }}"), "-é-a-");
  EXPECT_EQ(Rendered("{{ 'aaa'.replace('a', 'b', 2) }}"), "bba");
}

}  // namespace
}  // namespace tandem
