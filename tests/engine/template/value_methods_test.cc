#include "engine/template/value_methods.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ValueMethodsTest, MapsAndListsHaveTheirMethods) {
  EXPECT_EQ(Rendered("{% set d = {'a': 1} %}{{ d.items() }}{{ d.get('b', 2) }}"
                     "{{ d.keys()|list }}{{ [1, 2].index(2) }}"),
            "dict_items([('a', 1)])2['a']1");
}

TEST(ValueMethodsTest, NoMethodChangesAValue) {
  EXPECT_EQ(Rendered("{{ [].append(1) }}"),
            "line 1, column 13: values can not be changed, so a list has no "
            "method 'append'");
  EXPECT_EQ(Rendered("{{ {'pop': 1}.pop is defined }}"), "False");
}

}  // namespace
}  // namespace tandem
