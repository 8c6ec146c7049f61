#include "services/access/located_json.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using Kind = LocatedJson::Kind;

TEST(LocatedJsonTest, ValuesAndTheirLines) {
  const auto root = ParseLocatedJson(
      "{\"a\": 1,\n"
      " \"b\": [true,\n"
      "  null, \"x\"],\n"
      "\n"
      " \"c\":\n"
      "  {\"d\": -2.5}}\n");
  ASSERT_TRUE(root.ok()) << root.status();
  EXPECT_EQ(root->kind, Kind::kObject);
  EXPECT_EQ(root->line, 1);
  EXPECT_EQ(root->names, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(root->children[0].kind, Kind::kNumber);
  EXPECT_EQ(root->children[0].whole, 1);
  EXPECT_EQ(root->children[0].line, 1);
  const LocatedJson& list = root->children[1];
  ASSERT_EQ(list.kind, Kind::kArray);
  ASSERT_EQ(list.children.size(), 3u);
  EXPECT_EQ(list.line, 2);
  EXPECT_EQ(list.children[0].kind, Kind::kBoolean);
  EXPECT_EQ(list.children[1].kind, Kind::kNull);
  EXPECT_EQ(list.children[2].text, "x");
  EXPECT_EQ(list.children[2].line, 3);
  const LocatedJson& inner = root->children[2];
  EXPECT_EQ(inner.line, 5);  // of its name
  EXPECT_EQ(inner.children[0].number, -2.5);
  EXPECT_FALSE(inner.children[0].whole.has_value());
}

TEST(LocatedJsonTest, NumbersThatAreTooLargeAreNotWhole) {
  const auto root =
      ParseLocatedJson("[9223372036854775807, 9223372036854775808, -1]");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->children[0].whole, INT64_MAX);
  EXPECT_FALSE(root->children[1].whole.has_value());
  EXPECT_EQ(root->children[1].number, 9223372036854775808.0);
  EXPECT_EQ(root->children[2].whole, -1);
}

TEST(LocatedJsonTest, ErrorsSayWhere) {
  std::string many = "{";
  for (size_t i = 0; i <= kJsonNamesMax; ++i) {
    absl::StrAppend(&many, i == 0 ? "" : ",", "\"", i, "\":0");
  }
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"{\n\"a\": 1,\n\"a\": 2}", "3: a name stands twice in one object"},
      {"{\"a\" 1}", "1: is not JSON near column "},
      {"{\n  \"a\": tru}", "2: is not JSON near column "},
      {"[1]\n[2]", "2: is not JSON near column "},
      {"// no comments\n[]", "1: is not JSON near column "},
      {"\"\xff\"", "1: is not JSON near column "},
      {"", "1: is not JSON near column "},
      {std::string(kJsonLevelsMax + 1, '['),
       "1: has more than 8 arrays and objects within each other"},
      {many + "}", "1: an object has more than 64 names"}};
  for (const auto& [text, error] : cases) {
    const absl::Status status = ParseLocatedJson(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(std::string(status.message()).rfind(error, 0), 0u)
        << status << " for " << text;
  }
  EXPECT_EQ(ParseLocatedJson("[1,\n 2 3]").status().message(),
            "2: is not JSON near column 4: look at the commas, quotes and "
            "brackets");
  EXPECT_TRUE(ParseLocatedJson(std::string(kJsonLevelsMax, '[') +
                               std::string(kJsonLevelsMax, ']'))
                  .ok());
}

}  // namespace
}  // namespace tandem
