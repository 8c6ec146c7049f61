#include "services/common/openai/ordered_texts.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

std::string At(absl::string_view text, absl::string_view pattern,
               const std::string& path) {
  OrderedTexts texts(text, {pattern});
  return texts.At(path);
}

TEST(OrderedTextsTest, AnObjectKeepsItsOrderAndItsSpelling) {
  EXPECT_EQ(
      At(R"({"b": {"c": 1}, "a": {"b": {"z": {}, "c": []}}})", "a.b", "a.b"),
      R"({"z":{},"c":[]})");
  EXPECT_EQ(At(R"({"a": {"z": [1, 2.50, -3, true, null, "q\"\u00e4"],
                         "b": [{}, {"x": [[]]}, "e"], "": false}})",
               "a", "a"),
            "{\"z\":[1,2.50,-3,true,null,\"q\\\"\xc3\xa4\"],"
            "\"b\":[{},{\"x\":[[]]},\"e\"],\"\":false}");
}

TEST(OrderedTextsTest, ElementsOfListsAreCounted) {
  constexpr char kText[] = R"({
    "tools": [5, {"function": {"parameters": {"z": 1, "a": 2}}}, [{}],
              {"parameters": {"x": 1}}, {"function": {"parameters": 3}},
              {"function": {"name": "f", "parameters": {}}}]})";
  OrderedTexts texts(kText, {"tools[].function.parameters", "b"});
  EXPECT_EQ(texts.At("tools[1].function.parameters"), R"({"z":1,"a":2})");
  EXPECT_EQ(texts.At("tools[5].function.parameters"), "{}");
  for (const char* path :
       {"tools[0].function.parameters", "tools[3].function.parameters",
        "tools[4].function.parameters", "tools[6].function.parameters", "b",
        ""}) {
    EXPECT_EQ(texts.At(path), "") << path;
  }
}

TEST(OrderedTextsTest, PathsShareTheirBeginning) {
  OrderedTexts texts(R"({"m": [{"c": [{"a": {"y": 1}}, {"a": {"x": 2}}]},
                               {"d": {"k": 3}, "c": [{"a": {"w": 4}}]}]})",
                     {"m[].c[].a", "m[].d"});
  EXPECT_EQ(texts.At("m[0].c[1].a"), R"({"x":2})");
  EXPECT_EQ(texts.At("m[1].c[0].a"), R"({"w":4})");
  EXPECT_EQ(texts.At("m[1].d"), R"({"k":3})");
}

TEST(OrderedTextsTest, OthersAreNotTakenForIt) {
  // In a list where the path has none, elsewhere, and no object.
  EXPECT_EQ(
      At(R"({"a": [{"b": {}}], "c": {"a": {"b": {"x": 1}}}})", "a.b", "a.b"),
      "");
  EXPECT_EQ(At(R"({"a": {"b": 5}})", "a.b", "a.b"), "");
  EXPECT_EQ(At(R"({"a": {"b": [{"c": 1}]}})", "a.b", "a.b"), "");
  // Names that look like a path, or like an element.
  EXPECT_EQ(At(R"({"a.b": {"x": 1}})", "a.b", "a.b"), "");
  EXPECT_EQ(At(R"({"a": {"[]": {"x": 1}}})", "a[]", "a[0]"), "");
  EXPECT_EQ(At(R"({"a": {"x": {"b": {}}, "b": {"y": 1}}})", "a.b", "a.b"),
            R"({"y":1})");
}

TEST(OrderedTextsTest, TheLastOfANameCounts) {
  EXPECT_EQ(
      At(R"({"a": {"b": {"x": 1}}, "a": {"b": {"y": [2, 3]}}})", "a.b", "a.b"),
      R"({"y":[2,3]})");
}

TEST(OrderedTextsTest, DepthCostsNoStack) {
  constexpr size_t kDepth = 1000000;
  const std::string deep = std::string(kDepth, '[') + std::string(kDepth, ']');
  EXPECT_EQ(At("{\"x\":" + deep + ",\"a\":{\"b\":" + deep + "}}", "a", "a"),
            "{\"b\":" + deep + "}");
}

TEST(OrderedTextsTest, NoJsonHasNoObjects) {
  for (const char* text :
       {"", "5", "[]", R"({"a": {"b": 1})", R"({"a": {}}x)"}) {
    EXPECT_EQ(At(text, "a", "a"), "") << text;
  }
}

}  // namespace
}  // namespace tandem
