#include "engine/template/evaluator.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(EvaluatorTest, LooksUpAttributesAndItems) {
  EXPECT_EQ(Rendered("{% set d = {'a': 1, 'items': 2} %}{{ d.a }}{{ d['items'] "
                     "}}{{ d.items is callable }}{{ d.b is defined }}"),
            "12TrueFalse");
  EXPECT_EQ(Rendered("{{ {}.a.b }}"), "line 1, column 8: a map has no 'a'");
  EXPECT_EQ(Rendered("{{ 'a'() }}"),
            "line 1, column 7: a text can not be called");
}

TEST(EvaluatorTest, StopsWhereTheAnswerIsKnown) {
  EXPECT_EQ(Rendered("{{ false and x.y }}{{ 1 or x.y }}{{ 2 < 1 < x.y }}"
                     "{{ 'a' if true else x.y }}"),
            "False1Falsea");
}

}  // namespace
}  // namespace tandem
