#include "engine/template/template_object.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TemplateObjectTest, BindsArguments) {
  const TemplateValue one = TemplateValue::Integer(1);
  const CallArguments arguments = {.positional = {one}, .named = {{"b", one}}};
  RenderBudget budget({});
  const auto bound = BindArguments(arguments, {"a", "b", "c"}, 2, budget);
  ASSERT_EQ(bound.size(), 3);
  EXPECT_NE(bound[1], nullptr);
  EXPECT_EQ(bound[2], nullptr);
  const auto error = [](const CallArguments& given, absl::string_view name) {
    RenderBudget failing({});
    BindArguments(given, {name}, 1, failing);
    return std::string(failing.error().message());
  };
  EXPECT_EQ(error(arguments, "a"), "the argument 'b' is not taken");
  EXPECT_EQ(error(arguments, "b"), "the argument 'b' is given twice");
  EXPECT_EQ(error({}, "/a"), "the argument 'a' is missing");
}

TEST(TemplateObjectTest, NamespacesCyclersAndJoinersKeepTheirState) {
  EXPECT_EQ(Rendered("{% set n = namespace(x=1) %}{% set c = cycler(1, 2) %}"
                     "{% set j = joiner() %}{% for i in range(3) %}"
                     "{% set n.x = n.x * 2 %}{{ j() }}{{ c.next() }}"
                     "{% endfor %} {{ n.x }} {{ n }}"),
            "1, 2, 1 8 <Namespace {'«x»': 8}>");
}

TEST(TemplateObjectTest, RangesAreBounded) {
  EXPECT_EQ(Rendered("{{ range(5, 1, -2)|list }}"), "[5, 3]");
  EXPECT_EQ(Rendered("{{ range(100001) }}"),
            "line 1, column 9: range(): makes more than 100000 numbers");
}

TEST(TemplateObjectTest, NamesOfNamespacesAreShort) {
  EXPECT_EQ(Rendered("{{ namespace(**{'x' * 128: 1}) is defined }}"), "True");
  EXPECT_EQ(Rendered("{{ namespace({'x' * 129: 1}) }}"),
            "line 1, column 13: namespace(): takes names that are texts of at "
            "most 128 bytes");
}

TEST(TemplateObjectTest, RangesEndAtTheLimitsOfNumbers) {
  EXPECT_EQ(Rendered("{{ range(9223372036854775805, 9223372036854775807, 2)"
                     "|list }}"),
            "[9223372036854775805]");
  EXPECT_EQ(Rendered("{% set low = -9223372036854775807 - 1 %}"
                     "{{ range(low, 9223372036854775807, 2**62)|list|length }}"
                     "{{ range(low, 9223372036854775807, 2**62) }}"),
            "4range(-9223372036854775808, 9223372036854775807, "
            "4611686018427387904)");
}

}  // namespace
}  // namespace tandem
