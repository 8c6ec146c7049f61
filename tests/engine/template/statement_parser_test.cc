#include "engine/template/statement_parser.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(StatementParserTest, RefusesByName) {
  EXPECT_EQ(Rendered("{% include 'x' %}"),
            "line 1, column 4: {% include %} is not supported");
  EXPECT_EQ(Rendered("{% for x in y recursive %}{% endfor %}"),
            "line 1, column 15: recursive loops are not supported");
  EXPECT_EQ(Rendered("{% endif %}"),
            "line 1, column 4: {% endif %} is not expected here");
  EXPECT_EQ(Rendered("{% if 1 %}x"),
            "line 1, column 12: expected {% elif %} or {% else %} or {% endif "
            "%}, found the end of the template");
  EXPECT_EQ(Rendered("{% break %}"),
            "line 1, column 10: {% break %} stands outside of a loop");
  EXPECT_EQ(Rendered("{% set true = 1 %}"),
            "line 1, column 8: 'true' can not be assigned to");
}

}  // namespace
}  // namespace tandem
