#include "engine/template/renderer.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(RendererTest, ScopesHoldTheirVariables) {
  EXPECT_EQ(Rendered("{% set x = 1 %}{% for i in [1, 2] %}{{ x }}"
                     "{% set x = 9 %}{% endfor %}{{ x }}"
                     "{% if true %}{% set x = 2 %}{% endif %}{{ x }}"
                     "{% with x = 3 %}{{ x }}{% endwith %}{{ x }}"),
            "111232");
}

TEST(RendererTest, LoopsTellWhereTheyAre) {
  EXPECT_EQ(Rendered("{% for x in 'abc' if x != 'b' %}{{ loop.index }}/"
                     "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}"
                     "{{ loop.cycle('-', '+') }}{% endfor %}"),
            "1/2c-2/2a+");
}

TEST(RendererTest, MacrosTakeArguments) {
  EXPECT_EQ(Rendered("{% macro f(a, b='x') %}{{ a }}{{ b }}{{ varargs }}"
                     "{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, c=4) }}"),
            "12(3,){'«c»': 4}");
  EXPECT_EQ(Rendered("{% macro f() %}<{{ caller(1) }}>{% endmacro %}"
                     "{% call(x) f() %}{{ x }}{% endcall %}"),
            "<1>");
  EXPECT_EQ(Rendered("{% macro f() %}{% endmacro %}{{ f(1) }}"),
            "line 1, column 34: the macro 'f' takes at most 0 arguments");
}

// A loop that a variable keeps does not keep its items.
TEST(RendererTest, LoopsThatAreOverAreEmpty) {
  EXPECT_EQ(Rendered("{% set n = namespace() %}{% for x in [1, 2] %}"
                     "{% set n.l = loop %}{% endfor %}{{ n.l.length }}"),
            "0");
}

}  // namespace
}  // namespace tandem
