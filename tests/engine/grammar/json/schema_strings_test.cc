#include "engine/grammar/json/schema_strings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Grammar> StringsOfSchema(const std::string& schema) {
  const std::unique_ptr<JsonValue> root = *ParseJson(schema);
  GrammarBuilder builder;
  SchemaShape shape;
  EXPECT_TRUE(ApplyKeywords(*root, builder.budget(), &shape).ok());
  JsonRules rules(&builder);
  TANDEM_ASSIGN_OR_RETURN(const ExprId strings,
                          CompileStrings(shape, &rules, &builder));
  return GrammarOf(&builder, strings);
}

TEST(SchemaStringsTest, KeywordsHoldTogether) {
  const Grammar grammar = *StringsOfSchema(
      R"({"pattern": "^[a-z\"\u00e9]*$", "minLength": 2, "maxLength": 4})");
  EXPECT_TRUE(Matches(grammar, "\"a\\\"\xC3\xA9z\""));
  EXPECT_TRUE(Matches(grammar, "\"ab\""));
  EXPECT_FALSE(Matches(grammar, "\"a\""));
  EXPECT_FALSE(Matches(grammar, "\"abcde\""));
  EXPECT_FALSE(Matches(grammar, "\"aB\""));
  EXPECT_FALSE(Matches(grammar, "\"a\\u0062\""));  // not canonical
}

TEST(SchemaStringsTest, PatternsSearch) {
  const Grammar grammar = *StringsOfSchema(R"({"pattern": "b\\n|^x"})");
  EXPECT_TRUE(Matches(grammar, "\"abb\\nc\""));
  EXPECT_TRUE(Matches(grammar, "\"xyz\""));
  EXPECT_FALSE(Matches(grammar, "\"ax\""));
}

TEST(SchemaStringsTest, LengthsAloneTakeEverySpelling) {
  const Grammar grammar =
      *StringsOfSchema(R"({"minLength": 100, "maxLength": 200})");
  const std::string text(99, 'a');
  EXPECT_TRUE(Matches(grammar, "\"" + text + "\\u0041\""));
  EXPECT_TRUE(Matches(grammar, "\"" + text + "\\ud83d\\ude00\""));
  EXPECT_FALSE(Matches(grammar, "\"" + text + "\""));
}

TEST(SchemaStringsTest, PatternAndFormatHoldTogether) {
  const Grammar grammar =
      *StringsOfSchema(R"({"format": "date", "pattern": "^20"})");
  EXPECT_TRUE(Matches(grammar, "\"2024-02-29\""));
  EXPECT_FALSE(Matches(grammar, "\"1999-01-01\""));
}

TEST(SchemaStringsTest, ErrorsNameTheKeyword) {
  const auto error = [](const std::string& schema) {
    return std::string(StringsOfSchema(schema).status().message());
  };
  EXPECT_THAT(error("{\"pattern\": \"a(?=b)\"}"),
              HasSubstr("/pattern: character 2: lookaround"));
  EXPECT_THAT(error("{\"format\": \"regex\"}"),
              HasSubstr("/format: unknown format; there are date"));
  EXPECT_THAT(error("{\"pattern\": \"a\", \"maxLength\": 5000}"),
              HasSubstr("/pattern: lengths of 4096"));
  EXPECT_THAT(error("{\"pattern\": \"^[a-z]{3000}[0-9]{3000}$\", "
                    "\"minLength\": 1}"),
              HasSubstr("/pattern: pattern, format and length together"));
}

}  // namespace
}  // namespace tandem
