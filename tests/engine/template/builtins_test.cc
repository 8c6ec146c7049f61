#include "engine/template/builtins.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(BuiltinsTest, TurnsValuesIntoNumbers) {
  EXPECT_EQ(Rendered("{{ ' 42 '|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(0, 16) }}"
                     " {{ '1_0'|float }} {{ 2.5|round }} {{ 2.675|round(2) }}"),
            "42 7 31 10.0 2.0 2.67");
  EXPECT_EQ(Rendered("{{ 1e300|int }}"),
            "line 1, column 10: |int: a whole number beyond 64 bits");
}

TEST(BuiltinsTest, EveryFilterIsFound) {
  EXPECT_GT(BuiltinNames(BuiltinKind::kFilter).size(), 40);
  for (const absl::string_view name : BuiltinNames(BuiltinKind::kFilter)) {
    EXPECT_NE(FindBuiltin(BuiltinKind::kFilter, name), nullptr) << name;
    EXPECT_FALSE(IsRefusedFilter(name)) << name;
  }
  EXPECT_TRUE(IsRefusedFilter("escape"));
}

TEST(BuiltinsTest, TestsKinds) {
  EXPECT_EQ(Rendered("{{ x is defined }} {{ none is none }} {{ true is number "
                     "}} {{ true is integer }} {{ 'a' is sequence }} {{ {} is "
                     "mapping }} {{ 3 is odd }} {{ 1 is in [1] }}"),
            "False True True False True True True True");
}

TEST(BuiltinsTest, EveryTestIsFound) {
  for (const absl::string_view name : BuiltinNames(BuiltinKind::kTest)) {
    EXPECT_NE(FindBuiltin(BuiltinKind::kTest, name), nullptr) << name;
  }
  EXPECT_EQ(FindBuiltin(BuiltinKind::kTest, "nosuch"), nullptr);
}

}  // namespace
}  // namespace tandem
