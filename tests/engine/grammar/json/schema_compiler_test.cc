#include "engine/grammar/json/schema_compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Grammar> GrammarOfSchema(const std::string& schema) {
  GrammarBuilder builder;
  TANDEM_ASSIGN_OR_RETURN(const RuleId rule, CompileSchema(schema, &builder));
  return builder.Build(rule);
}

std::string ErrorOf(const std::string& schema) {
  const absl::Status status = GrammarOfSchema(schema).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << schema;
  return std::string(status.message());
}

TEST(SchemaCompilerTest, SchemasOfOneGrammarShareTheRulesOfJson) {
  const auto states_with = [](int schemas) {
    GrammarBuilder builder;
    JsonRules json(&builder);
    std::vector<ExprId> parts;
    for (int i = 0; i < schemas; ++i) {
      const auto rule = CompileSchema(
          {.text = R"({"type": "array", "items": {"type": "string"}})",
           .place = "here"},
          &json);
      EXPECT_TRUE(rule.ok()) << rule.status();
      parts.push_back(builder.Call(*rule));
    }
    const Grammar grammar = GrammarOf(&builder, builder.Sequence(parts));
    EXPECT_EQ(Matches(grammar, R"(["a"]["b"])"), schemas == 2);
    return grammar.states.size();
  };
  EXPECT_LT(states_with(2), states_with(1) * 3 / 2);
}

TEST(SchemaCompilerTest, ASchemaAmongOthersIsNamedInItsErrors) {
  GrammarBuilder builder;
  JsonRules json(&builder);
  for (const char* text : {"{\"not\": {}}", "{"}) {
    const auto rule = CompileSchema({.text = text, .place = "here"}, &json);
    EXPECT_TRUE(absl::StartsWith(rule.status().message(), "here: ")) << text;
  }
  const auto never = CompileSchema({.text = "false", .place = "here"}, &json);
  ASSERT_TRUE(never.ok()) << never.status();
  EXPECT_THAT(std::string(builder.Build(*never).status().message()),
              HasSubstr("here: #: nothing matches"));
}

// What each keyword takes stands in schema_cases.json.
TEST(SchemaCompilerTest, SchemasMayBeRecursive) {
  const auto grammar = GrammarOfSchema(R"({
    "$ref": "#/$defs/tree",
    "$defs": {"tree": {"type": "object", "additionalProperties": false,
      "properties": {"value": {"type": "integer"},
                     "children": {"type": "array",
                                  "items": {"$ref": "#/$defs/tree"}}},
      "required": ["value"]}}})");
  ASSERT_TRUE(grammar.ok()) << grammar.status();
  EXPECT_TRUE(Matches(*grammar, R"({"value": 1})"));
  EXPECT_TRUE(Matches(
      *grammar,
      R"({"value":1,"children":[{"value":2},{"value":3,"children":[]}]})"));
  EXPECT_FALSE(Matches(*grammar, R"({"value":1,"children":[{}]})"));
}

TEST(SchemaCompilerTest, WhatNothingMatchesIsNamed) {
  const std::vector<std::pair<std::string, std::string>> errors = {
      {"false", "#: nothing matches"},
      {R"({"enum": []})", "#: nothing matches"},
      {R"({"type": "integer", "minimum": 3, "maximum": 2})",
       "#: nothing matches"},
      {R"({"type": "string", "minLength": 3, "maxLength": 2})",
       "#: nothing matches"},
      {R"({"type": "object", "required": ["b"], "properties": {
           "a": false, "b": {"allOf": [{"type": "string"}, {"type": "null"}]}}})",
       "/properties/b: nothing matches"},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}},
           "required": ["a"]})",
       "/properties/a: nothing matches"}};
  for (const auto& [schema, error] : errors) {
    EXPECT_THAT(ErrorOf(schema), HasSubstr(error)) << schema;
  }
}

TEST(SchemaCompilerTest, WhatIsNotSupportedIsNamed) {
  const std::vector<std::pair<std::string, std::string>> errors = {
      {R"({"properties": {"a": {"items": {"contains": {}}}}})",
       "/properties/a/items/contains: this keyword is not supported"},
      {R"({"minProperties": 2})", "/minProperties: minProperties is supported"},
      {R"({"properties": {"a": {}}, "maxProperties": 5})",
       "/maxProperties: maxProperties is supported"},
      {R"({"enum": [[1]], "items": {"type": "integer"}})",
       "/enum/0: arrays and objects in enum"},
      {R"({"type": "object", "properties": {"s": {"pattern": "\\b"}}})",
       "/properties/s/pattern: character 1: \\b is not supported"}};
  for (const auto& [schema, error] : errors) {
    EXPECT_THAT(ErrorOf(schema), HasSubstr(error)) << schema;
  }
}

TEST(SchemaCompilerTest, LargeSchemasCompileOrAreRefused) {
  std::string schema = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&schema, i > 0 ? "," : "", "\"property", i,
                    R"(": {"type": "string", "maxLength": 200})");
  }
  EXPECT_TRUE(GrammarOfSchema(schema + "}}").ok());
  // 30 objects in each other, each with 50 properties.
  std::string deep = R"({"type": "integer"})";
  for (int level = 0; level < 30; ++level) {
    std::string more;
    for (int i = 0; i < 50; ++i) {
      absl::StrAppend(&more, ",\"p", i, R"(": {"enum": ["aaaaaaaa"]})");
    }
    deep = absl::StrCat(R"({"type": "object", "properties": {"next": )", deep,
                        more, "}}");
  }
  EXPECT_TRUE(GrammarOfSchema(deep).ok());
  std::string wide = R"({"enum": [)";
  for (int i = 0; i < 15'000; ++i) {
    absl::StrAppend(&wide, i > 0 ? "," : "", "\"", i * 7919 % 100'000, "xyz\"");
  }
  const auto grammar = GrammarOfSchema(wide + "]}");
  EXPECT_TRUE(grammar.ok() ||
              absl::StrContains(grammar.status().message(), "65536 states"))
      << grammar.status();
}

TEST(SchemaCompilerTest, WorkIsLimited) {
  // 250 branches whose patterns are compared two by two.
  std::string schema = "{\"oneOf\": [";
  for (int i = 0; i < 250; ++i) {
    absl::StrAppend(&schema, i > 0 ? "," : "",
                    "{\"type\": \"string\", \"pattern\": \"^", i,
                    "[a-z]{1000}$\"}");
  }
  EXPECT_THAT(ErrorOf(schema + "]}"), HasSubstr("steps to compile"));
  // A pattern for each of 10,000 values.
  schema = "{\"pattern\": \"^[a-z]{2000}$\", \"enum\": [\"\"";
  for (int i = 0; i < 10'000; ++i) absl::StrAppend(&schema, ",\"", i, "\"");
  EXPECT_THAT(ErrorOf(schema + "]}"), HasSubstr("steps to compile"));
}

}  // namespace
}  // namespace tandem
