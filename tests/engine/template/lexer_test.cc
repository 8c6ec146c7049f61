#include "engine/template/lexer.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(LexerTest, TakesWhiteSpaceAsTheSignsSay) {
  EXPECT_EQ(Rendered("a\n  {% if 1 %}\nb\n  {%- endif %}\nc\n"), "a\nbc");
  EXPECT_EQ(Rendered(" {%+ if 1 %}b{% endif +%}\n"), " b");
  EXPECT_EQ(Rendered("a {#- x -#} b{# y #}\nc"), "abc");
  EXPECT_EQ(Rendered("{% raw %}{{ x }}{% endraw %}"), "{{ x }}");
  EXPECT_EQ(Rendered("a\r\nb\rc"), "a\nb\nc");
}

TEST(LexerTest, DecodesStrings) {
  EXPECT_EQ(Rendered(R"({{ "\x41\u00e9\101\q\"" 'b' }})"), "AéA\\q\"b");
  EXPECT_EQ(Rendered(R"({{ '\ud800' }})"),
            "line 1, column 5: this escape is not a Unicode character");
  EXPECT_EQ(Rendered("{{ 'a"),
            "line 1, column 4: the string has no closing quote");
}

TEST(LexerTest, NamesWhatIsMissing) {
  EXPECT_EQ(Rendered("x {# a"),
            "line 1, column 3: the comment has no end: #} is missing");
  EXPECT_EQ(Rendered("{{ (1] }}"), "line 1, column 6: unexpected ']'");
}

}  // namespace
}  // namespace tandem
