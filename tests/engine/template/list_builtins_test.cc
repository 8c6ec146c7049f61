#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ListBuiltinsTest, SortsStably) {
  EXPECT_EQ(Rendered("{{ ['b', 'A', 'a', 'B']|sort }}"
                     "{{ [3, 1, 2]|sort(reverse=true) }}"
                     "{{ [{'k': 2}, {'k': 1}]|sort(attribute='k') }}"),
            "['A', 'a', 'b', 'B'][3, 2, 1][{'k': 1}, {'k': 2}]");
  EXPECT_EQ(Rendered("{{ [1, 'a']|sort }}"),
            "line 1, column 13: |sort: a text and a whole number have no "
            "order");
}

TEST(ListBuiltinsTest, GeneratorsAreTrueAndUsedUpByReading) {
  EXPECT_EQ(Rendered("{% set g = [1, 2]|select('odd') %}{{ g|list }}"
                     "{{ g|list }}{{ 'true' if []|select else 'false' }}"),
            "[1][]true");
  EXPECT_EQ(Rendered("{{ [1]|select|length }}"),
            "line 1, column 15: |length: a generator has no length");
}

TEST(ListBuiltinsTest, MapIsNotMapped) {
  EXPECT_EQ(Rendered("{{ ['ab']|map('map', 'upper')|list }}"),
            "line 1, column 11: |map: map can not be given to map");
}

TEST(ListBuiltinsTest, MapsAndListsHaveTheirMethods) {
  EXPECT_EQ(Rendered("{% set d = {'a': 1} %}{{ d.items() }}{{ d.get('b', 2) }}"
                     "{{ d.keys()|list }}{{ [1, 2].index(2) }}"),
            "dict_items([('a', 1)])2['a']1");
}

TEST(ListBuiltinsTest, NoMethodChangesAValue) {
  EXPECT_EQ(Rendered("{{ [].append(1) }}"),
            "line 1, column 13: values can not be changed, so a list has no "
            "method 'append'");
  EXPECT_EQ(Rendered("{{ {'pop': 1}.pop is defined }}"), "False");
}

}  // namespace
}  // namespace tandem
