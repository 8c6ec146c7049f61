#include "engine/template/operators.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(OperatorsTest, CalculatesAsPython) {
  EXPECT_EQ(Rendered("{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** -1 }} "
                     "{{ -7.5 % 2 }} {{ 2 ** 62 }}"),
            "-4 2 3.5 0.5 0.5 4611686018427387904");
  EXPECT_EQ(Rendered("{{ 1 % 0 }}"), "line 1, column 6: division by zero");
  EXPECT_EQ(Rendered("{{ 2 ** 63 }}"),
            "line 1, column 6: a whole number beyond 64 bits");
}

TEST(OperatorsTest, ComparesAsPython) {
  EXPECT_EQ(Rendered("{{ 1 < 2 < 3 }}{{ true == 1.0 }}{{ [1] < [1, 0] }}"
                     "{{ 9007199254740993 == 9007199254740992.0 }}"),
            "TrueTrueTrueFalse");
  EXPECT_EQ(Rendered("{{ 1 < 'a' }}"),
            "line 1, column 4: a whole number and a text have no order");
}

}  // namespace
}  // namespace tandem
