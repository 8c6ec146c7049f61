#include "engine/grammar/json/schema_disjoint.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

bool Disjoint(const std::string& a, const std::string& b) {
  const std::unique_ptr<JsonValue> root =
      *ParseJson(absl::StrCat("[", a, ",", b, "]"));
  WorkBudget budget;
  SchemaExpander expander(root.get(), &budget);
  const auto in_a = expander.Expand({&root->items[0]});
  const auto in_b = expander.Expand({&root->items[1]});
  EXPECT_TRUE(in_a.ok()) << in_a.status();
  EXPECT_TRUE(in_b.ok()) << in_b.status();
  const auto one = AreDisjoint(*root, *in_a, *in_b, &budget);
  const auto other = AreDisjoint(*root, *in_b, *in_a, &budget);
  EXPECT_EQ(*one, *other);
  return *one;
}

TEST(SchemaDisjointTest, FindsWhatTellsSchemasApart) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {R"({"type": "string"})", R"({"type": "integer"})"},
      {R"({"const": 1})", R"({"enum": ["1", 2]})"},
      {R"({"const": 7})", R"({"type": "integer", "maximum": 6})"},
      {R"({"const": "ab"})", R"({"type": "string", "minLength": 3})"},
      {R"({"const": "ab"})", R"({"type": "string", "pattern": "^c"})"},
      {R"({"type": "number", "maximum": 5})",
       R"({"type": "number", "exclusiveMinimum": 5})"},
      {R"({"type": "string", "maxLength": 2})",
       R"({"type": "string", "minLength": 3})"},
      {R"({"type": "string", "pattern": "^a"})",
       R"({"type": "string", "pattern": "^b"})"},
      {R"({"type": "array", "maxItems": 1})",
       R"({"type": "array", "minItems": 2})"},
      {R"({"type": "object", "properties": {"k": {"const": "a"}},
           "required": ["k"]})",
       R"({"type": "object", "properties": {"k": {"const": "b"}},
           "required": ["k"]})"},
      {R"({"type": "object", "required": ["x"]})",
       R"({"type": "object", "properties": {"y": {}},
           "additionalProperties": false})"},
      {R"({"type": "object", "properties": {"a": {"type": "object",
           "properties": {"k": {"const": 1}}, "required": ["k"]}},
           "required": ["a"]})",
       R"({"type": "object", "properties": {"a": {"type": "object",
           "properties": {"k": {"const": 2}}}}})"},
      {"false", "{}"}};
  for (const auto& [a, b] : pairs) EXPECT_TRUE(Disjoint(a, b)) << a << b;
}

TEST(SchemaDisjointTest, IsNotSureOfOthers) {
  const std::vector<std::pair<std::string, std::string>> pairs = {
      {"{}", "{}"},
      {R"({"type": "number"})", R"({"type": "integer"})"},
      {R"({"const": 1})", R"({"enum": [1.0]})"},
      {R"({"type": "boolean"})", R"({"type": ["boolean", "null"]})"},
      {R"({"type": "string", "pattern": "a"})",
       R"({"type": "string", "pattern": "b"})"},
      {R"({"const": [1]})", R"({"type": "array", "minItems": 2})"},
      {R"({"type": "object", "properties": {"k": {"const": "a"}}})",
       R"({"type": "object", "properties": {"k": {"const": "b"}}})"},
      {R"({"required": ["a"]})", R"({"required": ["b"]})"}};
  for (const auto& [a, b] : pairs) EXPECT_FALSE(Disjoint(a, b)) << a << b;
}

}  // namespace
}  // namespace tandem
