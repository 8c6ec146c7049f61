#include "engine/template/filters.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(FiltersTest, TurnsValuesIntoNumbers) {
  EXPECT_EQ(Rendered("{{ ' 42 '|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(0, 16) }}"
                     " {{ '1_0'|float }} {{ 2.5|round }} {{ 2.675|round(2) }}"),
            "42 7 31 10.0 2.0 2.67");
  EXPECT_EQ(Rendered("{{ 1e300|int }}"),
            "line 1, column 10: |int: a whole number beyond 64 bits");
}

TEST(FiltersTest, EveryNameIsFound) {
  EXPECT_GT(FilterNames().size(), 40);
  for (const absl::string_view name : FilterNames()) {
    EXPECT_NE(FindFilter(name), nullptr) << name;
    EXPECT_FALSE(IsRefusedFilter(name)) << name;
  }
  EXPECT_TRUE(IsRefusedFilter("escape"));
}

}  // namespace
}  // namespace tandem
