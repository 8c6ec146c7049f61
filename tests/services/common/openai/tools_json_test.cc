#include "services/common/openai/tools_json.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace tandem {
namespace {

using Cases = std::vector<std::pair<std::string, std::string>>;

constexpr char kClock[] =
    R"({"type": "function", "function": {"name": "clock"}})";

absl::StatusOr<v1::TurnRequest> Read(const std::string& text,
                                     ToolForm form = ToolForm::kChat) {
  const Json body = Json::parse(text);
  JsonFields fields(body);
  OrderedTexts texts(
      text, {form == ToolForm::kChat ? kToolParameters : kFlatToolParameters});
  v1::TurnRequest turn;
  ReadTools(form, &fields, &texts, &turn);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return turn;
}

absl::StatusOr<v1::TurnRequest> ReadWithClock(const std::string& fields) {
  return Read("{\"tools\": [" + std::string(kClock) + "], " + fields + "}");
}

std::string FieldOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() && !detail->violations.empty()
             ? detail->violations[0].field
             : "none";
}

TEST(ReadToolsTest, FunctionsOfAChat) {
  const absl::StatusOr<v1::TurnRequest> turn = Read(R"({"tools": [
      {"type": "function", "function": {
        "name": "weather", "description": "Tells it.", "strict": true,
        "parameters": {"type": "object", "properties": {
          "place": {"type": "string"}, "day": {"enum": [1, 2.50]}}}}},
      {"type": "function", "function": {"name": "clock", "strict": false}},
      {"type": "function", "function": {"name": "moon", "parameters": {}}}]})");
  ASSERT_TRUE(turn.ok()) << turn.status();
  ASSERT_EQ(turn->tools_size(), 3);
  EXPECT_EQ(turn->tools(0).name(), "weather");
  EXPECT_EQ(turn->tools(0).description(), "Tells it.");
  // Its properties in their order.
  EXPECT_EQ(turn->tools(0).parameters(),
            R"({"type":"object","properties":{"place":{"type":"string"},)"
            R"("day":{"enum":[1,2.50]}}})");
  EXPECT_EQ(turn->tools(1).name(), "clock");
  EXPECT_EQ(turn->tools(1).parameters(), "");
  EXPECT_EQ(turn->tools(2).parameters(), "");
  EXPECT_EQ(turn->tool_choice(), v1::TOOL_CHOICE_UNSPECIFIED);
  EXPECT_EQ(turn->tool_calls_max(), 0);
}

TEST(ReadToolsTest, FunctionsOfAResponse) {
  const absl::StatusOr<v1::TurnRequest> turn = Read(
      R"({"tools": [{"type": "function", "name": "clock", "strict": null,
                     "description": null,
                     "parameters": {"z": 1, "a": 2}}],
          "tool_choice": {"type": "function", "name": "clock"}})",
      ToolForm::kResponses);
  ASSERT_TRUE(turn.ok()) << turn.status();
  EXPECT_EQ(turn->tools(0).name(), "clock");
  EXPECT_EQ(turn->tools(0).parameters(), R"({"z":1,"a":2})");
  EXPECT_EQ(turn->tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(turn->tool_name(), "clock");
}

TEST(ReadToolsTest, Choices) {
  for (const auto& [choice, expected] :
       std::vector<std::pair<std::string, v1::ToolChoice>>{
           {"null", v1::TOOL_CHOICE_UNSPECIFIED},
           {"\"auto\"", v1::TOOL_CHOICE_AUTO},
           {"\"none\"", v1::TOOL_CHOICE_NONE},
           {"\"required\"", v1::TOOL_CHOICE_REQUIRED}}) {
    const absl::StatusOr<v1::TurnRequest> turn =
        ReadWithClock("\"tool_choice\": " + choice);
    ASSERT_TRUE(turn.ok()) << choice << turn.status();
    EXPECT_EQ(turn->tool_choice(), expected) << choice;
    EXPECT_EQ(turn->tool_name(), "");
  }
  const absl::StatusOr<v1::TurnRequest> named =
      ReadWithClock("\"tool_choice\": " + std::string(kClock));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(named->tool_name(), "clock");
}

TEST(ReadToolsTest, OneCallAtATime) {
  EXPECT_EQ(ReadWithClock("\"parallel_tool_calls\": false")->tool_calls_max(),
            1);
  EXPECT_EQ(ReadWithClock("\"parallel_tool_calls\": true")->tool_calls_max(),
            0);
  EXPECT_EQ(Read(R"({"parallel_tool_calls": false})")->tool_calls_max(), 0);
}

TEST(ReadToolsTest, WithoutToolsNothingIsAskedFor) {
  for (const char* text :
       {"{}", R"({"tools": null})", R"({"tools": []})",
        R"({"tools": [], "tool_choice": "auto"})",
        R"({"tool_choice": "none", "parallel_tool_calls": true})"}) {
    const absl::StatusOr<v1::TurnRequest> turn = Read(text);
    ASSERT_TRUE(turn.ok()) << text << turn.status();
    EXPECT_EQ(turn->ByteSizeLong(), 0u) << text;
  }
}

TEST(ReadToolsTest, WhatIsWrongIsNamed) {
  const auto function = [](const std::string& fields) {
    return R"({"tools": [{"type": "function", "function": )" + fields + "}]}";
  };
  for (const auto& [text, field] : Cases{
           {R"({"tools": {}})", "tools"},
           {R"({"tools": [3]})", "tools[0]"},
           {R"({"tools": [{}]})", "tools[0].type"},
           {R"({"tools": [{"type": "web_search"}]})", "tools[0].type"},
           {R"({"tools": [{"type": "custom", "custom": {}}]})",
            "tools[0].type"},
           {R"({"tools": [{"type": "function", "name": "f"}]})",
            "tools[0].function"},
           {function("3"), "tools[0].function"},
           {function("{}"), "tools[0].function.name"},
           {function(R"({"name": 3})"), "tools[0].function.name"},
           {function(R"({"name": ""})"), "tools[0].function.name"},
           {function(R"({"name": "f", "description": []})"),
            "tools[0].function.description"},
           {function(R"({"name": "f", "parameters": true})"),
            "tools[0].function.parameters"},
           {function(R"({"name": "f", "strict": "yes"})"),
            "tools[0].function.strict"},
           {function(R"({"name": "f", "parametres": {}})"),
            "tools[0].function.\"parametres\""},
           {R"({"tool_choice": "required"})", "tool_choice"},
           {R"({"tools": [], "tool_choice": "required"})", "tool_choice"},
           {"{\"tool_choice\": " + std::string(kClock) + "}", "tool_choice"}}) {
    EXPECT_EQ(FieldOf(Read(text).status()), field) << text;
  }
  for (const auto& [fields, field] :
       Cases{{R"("tool_choice": "any")", "tool_choice"},
             {R"("tool_choice": ["auto"])", "tool_choice"},
             {R"("tool_choice": {"type": "allowed_tools", "mode": "auto"})",
              "tool_choice.type"},
             {R"("tool_choice": {"type": "function"})", "tool_choice.function"},
             {R"("tool_choice": {"type": "function", "function": {}})",
              "tool_choice.function.name"},
             {R"("parallel_tool_calls": 1)", "parallel_tool_calls"}}) {
    EXPECT_EQ(FieldOf(ReadWithClock(fields).status()), field) << fields;
  }
  EXPECT_EQ(
      FieldOf(Read(R"({"tools": [{"type": "function"}]})", ToolForm::kResponses)
                  .status()),
      "tools[0].name");
}

TEST(ReadToolsTest, OtherTypesAreRefusedByName) {
  EXPECT_EQ(
      Read(R"({"tools": [{"type": "code_interpreter"}]})").status().message(),
      "tools[0].type must be function: \"code_interpreter\" is not taken");
}

}  // namespace
}  // namespace tandem
