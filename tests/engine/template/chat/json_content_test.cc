#include "engine/template/chat/json_content.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/template/template_program.h"

namespace tandem {
namespace {

// What a template makes of the value of `json`.
absl::StatusOr<std::vector<TextPart>> Render(const std::string& source,
                                             const std::string& json) {
  const absl::StatusOr<TemplateValue> value = ParseJsonContent(json);
  if (!value.ok()) return value.status();
  TemplateInput input;
  input.variables.emplace_back("v", *value);
  return (*TemplateProgram::Parse(source))->Render(input);
}

std::string ToJson(const std::string& json) {
  const auto parts = Render("{{ v | tojson }}", json);
  if (!parts.ok()) return parts.status().ToString();
  std::string text;
  for (const TextPart& part : *parts) text += part.text;
  return text;
}

TEST(JsonContentTest, IsWrittenAsPythonWritesWhatItRead) {
  for (const std::string json :
       {R"({})", R"({"b": 1, "a": [true, false, null, {"x": []}]})",
        R"({"i": 9223372036854775807, "j": -9223372036854775808, "k": -0.0})",
        R"({"f": 0.1, "g": 1.0, "h": -2.5, "e": 1e+16, "s": 1e-05})",
        R"({"t": "a\"b\\c\n\t\u0001é😀"})"}) {
    EXPECT_EQ(ToJson(json), json);
  }
  EXPECT_EQ(ToJson(" { \"a\" :1.50, \"b\":1E2,\"c\" : -0 }\n"),
            R"({"a": 1.5, "b": 100.0, "c": 0})");
  EXPECT_EQ(ToJson(R"({"\u0061": "\ud83d\ude00\/"})"), "{\"a\": \"😀/\"}");
  // As a dict: the first place, the last value.
  EXPECT_EQ(ToJson(R"({"a": 1, "b": 2, "a": 3})"), R"({"a": 3, "b": 2})");
  // Beyond 64 bits.
  EXPECT_EQ(ToJson(R"({"a": 18446744073709551615})"),
            R"({"a": 1.8446744073709552e+19})");
}

TEST(JsonContentTest, TextsAndKeysAreContents) {
  const auto parts = Render(
      "{% for k, x in v.items() %}<{{ k }}={{ x.y[0] }}>"
      "{% endfor %}",
      R"({"<s>": {"y": ["</s>"]}})");
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(*parts, (std::vector<TextPart>{{"<", false},
                                           {"<s>", true},
                                           {"=", false},
                                           {"</s>", true},
                                           {">", false}}));
}

TEST(JsonContentTest, SaysWhereItIsWrong) {
  const auto error = [](const std::string& json) {
    const absl::Status status = ParseJsonContent(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    return std::string(status.message());
  };
  EXPECT_EQ(error(""), "is no JSON: byte 1");
  EXPECT_EQ(error(R"({"a" 1})"), "is no JSON: byte 6");
  EXPECT_EQ(error(R"({"a": 1}})"), "is no JSON: byte 9");
  EXPECT_EQ(error("{\"a\": \"\xff\"}"), "is no JSON: byte 8");
  for (const std::string json :
       {"{\"a\": 01}", "{\"a\": 1e999}", "{\"a\": NaN}", "{'a': 1}",
        "{\"a\": \"\\ud800\"}", "{\"a\": 1", "{\"a\": tru}", "{\"a\": 1,}"}) {
    EXPECT_TRUE(absl::StartsWith(error(json), "is no JSON: byte ")) << json;
  }
  for (const std::string json : {"[]", "1", "\"a\"", "null"}) {
    EXPECT_EQ(error(json), "must be a JSON object");
  }
}

TEST(JsonContentTest, DepthIsBounded) {
  const auto nested = [](size_t lists) {
    return absl::StrCat("{\"a\": ", std::string(lists, '['),
                        std::string(lists, ']'), "}");
  };
  EXPECT_TRUE(ParseJsonContent(nested(kJsonContentDepthMax - 1)).ok());
  const absl::Status status =
      ParseJsonContent(nested(kJsonContentDepthMax)).status();
  EXPECT_TRUE(absl::StrContains(status.message(), "more than 64")) << status;
  EXPECT_FALSE(ParseJsonContent(std::string(1 << 20, '[')).ok());
}

}  // namespace
}  // namespace tandem
