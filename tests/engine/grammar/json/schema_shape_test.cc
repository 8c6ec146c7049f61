#include "engine/grammar/json/schema_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// A schema and the shapes that it has.
struct Expanded {
  std::unique_ptr<JsonValue> root;
  absl::StatusOr<std::vector<SchemaShape>> shapes;
};

Expanded Expand(const std::string& schema) {
  WorkBudget budget;
  Expanded expanded{*ParseJson(schema), std::vector<SchemaShape>()};
  expanded.shapes = SchemaExpander(expanded.root.get(), &budget)
                        .Expand({expanded.root.get()});
  return expanded;
}

std::string ErrorOf(const std::string& schema) {
  const Expanded expanded = Expand(schema);
  EXPECT_EQ(expanded.shapes.status().code(), absl::StatusCode::kInvalidArgument)
      << schema;
  return std::string(expanded.shapes.status().message());
}

TEST(SchemaShapeTest, EmptySchemasDemandNothing) {
  for (const char* schema :
       {"{}", "true", R"({"title": "x"})", R"({"allOf": [{}, true]})",
        R"({"minItems": 0})"}) {
    const Expanded expanded = Expand(schema);
    ASSERT_EQ(expanded.shapes->size(), 1u);
    EXPECT_TRUE(expanded.shapes->front().IsAnything()) << schema;
  }
  EXPECT_TRUE(Expand("false").shapes->front().is_never);
}

TEST(SchemaShapeTest, AllOfNarrows) {
  const Expanded expanded = Expand(R"({
    "type": ["integer", "string"], "minimum": 1, "maxLength": 9,
    "allOf": [
      {"type": ["number", "string"], "minimum": 0, "minLength": 2},
      {"exclusiveMinimum": 1, "maxLength": 5, "pattern": "a"}]})");
  const SchemaShape& shape = expanded.shapes->front();
  EXPECT_EQ(shape.types, kIntegerType | kStringType);
  EXPECT_TRUE(shape.numbers.low->is_exclusive);
  EXPECT_EQ(shape.lengths, (Bounds{2, 5}));
  EXPECT_EQ(shape.patterns.size(), 1u);
}

TEST(SchemaShapeTest, PropertiesOfAllSchemasHold) {
  const Expanded expanded = Expand(R"({
    "properties": {"a": {"minimum": 1}, "b": {}},
    "additionalProperties": {"type": "integer"},
    "allOf": [{
      "properties": {"b": {"type": "string"}, "c": {}},
      "additionalProperties": {"maximum": 5}, "required": ["b", "d"]}]})");
  const SchemaShape& shape = expanded.shapes->front();
  ASSERT_EQ(shape.properties.size(), 4u);
  // a: its own schema, and the other's additionalProperties; and so on.
  const std::vector<std::pair<std::string, size_t>> expected = {
      {"a", 2}, {"b", 2}, {"c", 2}, {"d", 2}};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(shape.properties[i].name, expected[i].first);
    EXPECT_EQ(shape.properties[i].value.size(), expected[i].second) << i;
  }
  EXPECT_TRUE(shape.properties[1].is_required);
  EXPECT_FALSE(shape.properties[2].is_required);
  EXPECT_TRUE(shape.properties[3].is_required);
  EXPECT_EQ(shape.additional.size(), 2u);
}

TEST(SchemaShapeTest, ItemsOfAllSchemasHold) {
  const Expanded expanded = Expand(R"({
    "prefixItems": [{"minimum": 1}], "items": {"type": "integer"},
    "allOf": [{"prefixItems": [{}, {}], "items": {"maximum": 5}}]})");
  const SchemaShape& shape = expanded.shapes->front();
  ASSERT_EQ(shape.prefix.size(), 2u);
  EXPECT_EQ(shape.prefix[0].size(), 2u);
  EXPECT_EQ(shape.prefix[1].size(), 2u);
  EXPECT_EQ(shape.items.size(), 2u);
}

TEST(SchemaShapeTest, AlternativesMultiply) {
  const Expanded expanded = Expand(R"({
    "anyOf": [{"minimum": 1}, {"type": "string"}],
    "oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]})");
  EXPECT_EQ(expanded.shapes->size(), 6u);
}

TEST(SchemaShapeTest, ValuesAreThoseOfAllLists) {
  const Expanded expanded =
      Expand(R"({"enum": [1, "a", 2.0], "allOf": [{"enum": [2, 3, 1.0]}]})");
  ASSERT_EQ(expanded.shapes->front().values->size(), 2u);
}

TEST(SchemaShapeTest, ReferencesAreFollowed) {
  const Expanded expanded = Expand(R"({
    "$ref": "#/$defs/a~1b", "$defs": {
      "a/b": {"type": "string", "allOf": [{"$ref": "#/$defs/c"}]},
      "c": {"minLength": 3}}})");
  EXPECT_EQ(expanded.shapes->front().types, kStringType);
  EXPECT_EQ(expanded.shapes->front().lengths.least, 3u);
}

TEST(SchemaShapeTest, ErrorsNameTheKeyword) {
  const std::vector<std::pair<std::string, std::string>> errors = {
      {R"({"allOf": [{}, {"not": {}}]})", "/allOf/1/not: this keyword"},
      {R"({"properties": []})", "/properties: must be an object"},
      {R"({"properties": {"a": 1}})", "/properties/a: must be a schema"},
      {R"({"required": "a"})", "/required: must be an array"},
      {R"({"required": [1]})", "/required/0: must be a string"},
      {R"({"items": [{}]})", "/items: must be a schema"},
      {R"({"minLength": -1})", "/minLength: must be a whole number"},
      {R"({"minItems": 2000000})", "/minItems: must be at most 1000000"},
      {R"({"maximum": "1"})", "/maximum: must be a number"},
      {R"({"pattern": 1})", "/pattern: must be a string"},
      {R"({"enum": 1})", "/enum: must be an array"},
      {R"({"anyOf": {}})", "/anyOf: must be an array"},
      {R"({"$ref": "#/a"})", "/$ref: refers to nothing"},
      {R"({"$ref": "http://a/b"})", "/$ref: refers to nothing"},
      {R"({"$ref": "#"})", "#: refers to itself"},
      {R"({"anyOf": [{"allOf": [{"$ref": "#"}]}]})", "#: refers to itself"},
      {R"({"oneOf": [{"type": "string"}, {"minLength": 1}]})",
       "/oneOf/1: it is not sure"}};
  for (const auto& [schema, error] : errors) {
    EXPECT_THAT(ErrorOf(schema), HasSubstr(error)) << schema;
  }
}

TEST(SchemaShapeTest, WhatMultipliesIsLimited) {
  // 2^20 alternatives.
  std::string schema = R"({"allOf": [)";
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&schema, i > 0 ? "," : "",
                    R"({"anyOf": [{"minimum": 1}, {"maximum": 1}]})");
  }
  EXPECT_THAT(ErrorOf(schema + "]}"), HasSubstr("more than 256 alternatives"));
  // 2^40 references.
  schema = R"({"$ref": "#/$defs/d0", "$defs": {"d40": {})";
  for (int i = 0; i < 40; ++i) {
    absl::StrAppend(&schema, ",\"d", i,
                    "\": {\"allOf\": [{\"$ref\": \"#/$defs/d", i + 1,
                    "\"}, {\"$ref\": \"#/$defs/d", i + 1, "\"}]}");
  }
  EXPECT_THAT(ErrorOf(schema + "}}"), HasSubstr("20000000 steps"));
  // A row of 300 references.
  schema = R"({"$ref": "#/$defs/d0", "$defs": {"d300": {})";
  for (int i = 0; i < 300; ++i) {
    absl::StrAppend(&schema, ",\"d", i, "\": {\"$ref\": \"#/$defs/d", i + 1,
                    "\"}");
  }
  EXPECT_THAT(ErrorOf(schema + "}}"), HasSubstr("one after the other"));
}

}  // namespace
}  // namespace tandem
