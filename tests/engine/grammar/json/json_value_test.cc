#include "engine/grammar/json/json_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const auto value = ParseJson(text);
  EXPECT_EQ(value.status().code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(value.status().message());
}

TEST(JsonValueTest, KeepsOrderAndSpelling) {
  const auto root = *ParseJson(
      R"({"b": 1.50, "a": [1e3, -7, "x\u00e9", true, null, 123456789012345678901]})");
  ASSERT_EQ(root->names.size(), 2u);
  EXPECT_EQ(root->names[0], "b");
  EXPECT_EQ(root->items[0].text, "1.50");
  const JsonValue& list = *root->Find("a");
  EXPECT_EQ(list.items[0].text, "1e3");
  EXPECT_EQ(list.items[1].text, "-7");
  EXPECT_EQ(list.items[2].text, "x\xC3\xA9");
  EXPECT_TRUE(list.items[3].Is(true));
  EXPECT_EQ(list.items[4].kind, JsonValue::Kind::kNull);
  EXPECT_EQ(list.items[5].text, "123456789012345678901");
  EXPECT_EQ(root->Find("c"), nullptr);
}

TEST(JsonValueTest, PointersLeadBothWays) {
  const auto root = *ParseJson(R"({"a/b": [0, {"~": 5}], "": 1})");
  const JsonValue& five = *root->items[0].items[1].Find("~");
  EXPECT_EQ(PointerOf(five), "/a~1b/1/~0");
  EXPECT_EQ(FindByPointer(*root, "/a~1b/1/~0"), &five);
  EXPECT_EQ(FindByPointer(*root, ""), root.get());
  EXPECT_EQ(FindByPointer(*root, "/"), root->Find(""));
  for (const char* pointer : {"a", "/x", "/a~1b/2", "/a~1b/x", "/a~1b/0/1"}) {
    EXPECT_EQ(FindByPointer(*root, pointer), nullptr) << pointer;
  }
  EXPECT_EQ(SchemaError(*root, "no").message(), "#: no");
  EXPECT_EQ(SchemaError(five, "no").message(), "/a~1b/1/~0: no");
}

TEST(JsonValueTest, LongPointersAreCut) {
  const auto root =
      *ParseJson(absl::StrCat("{\"", std::string(100'000, 'x'), "\": [1]}"));
  EXPECT_LT(PointerOf(root->items[0].items[0]).size(), 300u);
}

TEST(JsonValueTest, RefusesWhatIsNoJsonTooDeepOrTooLong) {
  EXPECT_THAT(ErrorOf("{\"a\": }"), HasSubstr("is no JSON: byte 7"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("is no JSON"));
  EXPECT_THAT(ErrorOf("1 2"), HasSubstr("is no JSON"));
  EXPECT_THAT(ErrorOf("\"\xFF\""), HasSubstr("is no JSON"));
  EXPECT_THAT(ErrorOf("{\"a\":1,\"a\":2}"), HasSubstr("\"a\" is there twice"));
  EXPECT_THAT(ErrorOf(std::string(10'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(ErrorOf(std::string(1 << 20, ' ')),
              HasSubstr("bytes, more than"));
}

}  // namespace
}  // namespace tandem
