#include "engine/template/list_filters.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ListFiltersTest, SortsStably) {
  EXPECT_EQ(Rendered("{{ ['b', 'A', 'a', 'B']|sort }}"
                     "{{ [3, 1, 2]|sort(reverse=true) }}"
                     "{{ [{'k': 2}, {'k': 1}]|sort(attribute='k') }}"),
            "['A', 'a', 'b', 'B'][3, 2, 1][{'k': 1}, {'k': 2}]");
  EXPECT_EQ(Rendered("{{ [1, 'a']|sort }}"),
            "line 1, column 13: |sort: a text and a whole number have no "
            "order");
}

TEST(ListFiltersTest, GeneratorsAreTrueAndUsedUpByReading) {
  EXPECT_EQ(Rendered("{% set g = [1, 2]|select('odd') %}{{ g|list }}"
                     "{{ g|list }}{{ 'true' if []|select else 'false' }}"),
            "[1][]true");
  EXPECT_EQ(Rendered("{{ [1]|select|length }}"),
            "line 1, column 15: |length: a generator has no length");
}

TEST(ListFiltersTest, MapIsNotMapped) {
  EXPECT_EQ(Rendered("{{ ['ab']|map('map', 'upper')|list }}"),
            "line 1, column 11: |map: map can not be given to map");
}

}  // namespace
}  // namespace tandem
