#include "engine/grammar/json/schema_keywords.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/schema_shape.h"

namespace tandem {
namespace {

std::unique_ptr<JsonValue> Parse(const std::string& text) {
  return *ParseJson(text);
}

TEST(SchemaKeywordsTest, KnowsWhatIsSupported) {
  const auto schema = Parse(
      R"({"type": 1, "title": 1, "x-any": 1, "uniqueItems": false, "$id": "a",
          "not": {}, "patternProperties": {}, "if": {}, "contains": {},
          "multipleOf": 2, "typ": 1, "dependentRequired": {}, "$anchor": "a"})");
  for (size_t i = 0; i < schema->items.size(); ++i) {
    EXPECT_EQ(CheckKeyword(schema->names[i], schema->items[i]).ok(), i < 5)
        << schema->names[i];
  }
  EXPECT_EQ(CheckKeyword("not", *schema->Find("not")).message(),
            "/not: this keyword is not supported");
  EXPECT_FALSE(CheckKeyword("uniqueItems", *Parse("true")).ok());
  const auto inner = Parse(R"({"a": {"$id": "b"}})");
  EXPECT_FALSE(CheckKeyword("$id", inner->items[0].items[0]).ok());
}

TEST(SchemaKeywordsTest, ReadsTypes) {
  EXPECT_EQ(*TypesOf(*Parse("\"integer\"")), kIntegerType);
  EXPECT_EQ(*TypesOf(*Parse("\"number\"")), kIntegerType | kFractionType);
  EXPECT_EQ(*TypesOf(*Parse("[\"null\", \"object\"]")),
            kNullType | kObjectType);
  EXPECT_FALSE(TypesOf(*Parse("\"int\"")).ok());
  EXPECT_FALSE(TypesOf(*Parse("[1]")).ok());
}

TEST(SchemaKeywordsTest, ReadsCountsAndNumbers) {
  EXPECT_EQ(*CountOf(*Parse("12")), 12u);
  EXPECT_EQ(*CountOf(*Parse("1.2e1")), 12u);
  EXPECT_EQ(*CountOf(*Parse("99999999999999999999")), kRepeatMax + 1);
  for (const char* text : {"-1", "1.5", "\"1\"", "null"}) {
    EXPECT_FALSE(CountOf(*Parse(text)).ok()) << text;
  }
  EXPECT_EQ(*NumberOf(*Parse("-2.50")), *DecimalOf("-2.5"));
  EXPECT_FALSE(NumberOf(*Parse("1e100")).ok());
  EXPECT_FALSE(NumberOf(*Parse("true")).ok());
}

TEST(SchemaKeywordsTest, TypesOfValues) {
  EXPECT_EQ(TypeOfValue(*Parse("1.0")), kIntegerType);
  EXPECT_EQ(TypeOfValue(*Parse("0.5")), kFractionType);
  EXPECT_EQ(TypeOfValue(*Parse("null")), kNullType);
  EXPECT_EQ(TypeOfValue(*Parse("[]")), kArrayType);
}

TEST(SchemaKeywordsTest, EqualityIsThatOfValues) {
  const auto are_equal = [](const char* a, const char* b) {
    return IsEqual(*Parse(a), *Parse(b));
  };
  EXPECT_TRUE(are_equal("1.0", "1"));
  EXPECT_TRUE(are_equal("{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}"));
  EXPECT_FALSE(are_equal("{\"a\":1}", "{\"b\":1}"));
  EXPECT_FALSE(are_equal("[1,2]", "[2,1]"));
  EXPECT_FALSE(are_equal("\"1\"", "1"));
  EXPECT_FALSE(are_equal("true", "false"));
  EXPECT_FALSE(are_equal("0", "false"));
}

}  // namespace
}  // namespace tandem
