#include "engine/template/value_tests.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ValueTestsTest, TestsKinds) {
  EXPECT_EQ(Rendered("{{ x is defined }} {{ none is none }} {{ true is number "
                     "}} {{ true is integer }} {{ 'a' is sequence }} {{ {} is "
                     "mapping }} {{ 3 is odd }} {{ 1 is in [1] }}"),
            "False True True False True True True True");
}

TEST(ValueTestsTest, EveryNameIsFound) {
  for (const absl::string_view name : TestNames()) {
    EXPECT_NE(FindTest(name), nullptr) << name;
  }
  EXPECT_EQ(FindTest("nosuch"), nullptr);
}

}  // namespace
}  // namespace tandem
