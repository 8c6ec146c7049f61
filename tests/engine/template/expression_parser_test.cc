#include "engine/template/expression_parser.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ExpressionParserTest, KnowsWhatBindsTighter) {
  EXPECT_EQ(Rendered("{{ 1 + 2 * 3 }} {{ 2 ** 3 ** 2 }} {{ -1|abs }} "
                     "{{ 1 ~ 2 * 3 }} {{ not 1 == 2 }}"),
            "7 64 1 16 True");
}

TEST(ExpressionParserTest, RefusesUnknownNames) {
  EXPECT_EQ(Rendered("{{ 1 is nome }}"),
            "line 1, column 9: there is no test 'nome'; the nearest is 'none'");
  EXPECT_EQ(Rendered("{{ 1|xmlattr }}"),
            "line 1, column 6: the filter 'xmlattr' is not supported: chats "
            "have no use for it");
  EXPECT_EQ(Rendered("{{ 1 + }}"),
            "line 1, column 8: expected an expression, found }}");
}

}  // namespace
}  // namespace tandem
