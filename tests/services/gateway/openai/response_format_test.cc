#include "services/gateway/openai/response_format.h"

#include <gtest/gtest.h>

#include <optional>

#include "services/gateway/openai/api_request.h"

namespace tandem::gateway {
namespace {

constexpr char kSchema[] =
    R"({"type":"object","properties":{"z":{"type":"string"},"a":{"enum":[1,2.50,-3,true,null,"q\"\u00e4"]}},"required":["z","a"]})";

// What the fields ask for, or the parameter that is wrong.
std::string Read(const std::string& text, bool is_response,
                 v1::ResponseFormat* format) {
  const Json body = Json::parse(text);
  JsonFields fields(body);
  fields.Ignore({"a"});
  v1::GenerationOptions options;
  OrderedTexts texts(text, {kFormatSchema, kTextFormatSchema});
  if (is_response) {
    ReadTextFormat(&texts, &fields, &options);
  } else {
    ReadResponseFormat(&texts, &fields, &options);
  }
  *format = options.response_format();
  const absl::Status status = fields.Finish();
  if (status.ok()) return "";
  return ErrorObject(status)["param"].get<std::string>();
}

TEST(ReadResponseFormatTest, TakesEachType) {
  v1::ResponseFormat format;
  EXPECT_EQ(Read("{}", false, &format), "");
  EXPECT_EQ(Read(R"({"response_format": {"type": "text"}})", false, &format),
            "");
  EXPECT_EQ(format.format_case(), v1::ResponseFormat::FORMAT_NOT_SET);
  EXPECT_EQ(
      Read(R"({"response_format": {"type": "json_object"}})", false, &format),
      "");
  EXPECT_TRUE(format.has_json_object());
}

TEST(ReadResponseFormatTest, ASchemaKeepsItsOrder) {
  v1::ResponseFormat format;
  const std::string chat =
      std::string(
          R"({"a": [{"response_format": 1}], "response_format": {
          "type": "json_schema", "json_schema": {"name": "n", "strict": true,
          "schema": )") +
      kSchema + "}}}";
  EXPECT_EQ(Read(chat, false, &format), "");
  // Strings are written as they are, numbers as they came.
  EXPECT_EQ(
      format.json_schema(),
      "{\"type\":\"object\",\"properties\":{\"z\":{\"type\":\"string\"},\"a\":"
      "{\"enum\":[1,2.50,-3,true,null,\"q\\\"\u00e4\"]}},\"required\":[\"z\","
      "\"a\"]}");
  const std::string response =
      std::string(R"({"text": {"verbosity": "low", "format": {
          "type": "json_schema", "name": "n", "schema": )") +
      kSchema + "}}}";
  v1::ResponseFormat same;
  EXPECT_EQ(Read(response, true, &same), "");
  EXPECT_EQ(same.json_schema(), format.json_schema());
}

TEST(ReadResponseFormatTest, WhatIsWrongIsNamed) {
  v1::ResponseFormat format;
  for (const auto& [text, param] :
       std::vector<std::pair<std::string, std::string>>{
           {R"({"response_format": 1})", "response_format"},
           {R"({"response_format": {}})", "response_format.type"},
           {R"({"response_format": {"type": "xml"}})", "response_format.type"},
           {R"({"response_format": {"type": "json_schema"}})",
            "response_format.json_schema"},
           {R"({"response_format": {"type": "json_schema",
                "json_schema": {"schema": [1]}}})",
            "response_format.json_schema.schema"},
           {R"({"response_format": {"type": "text", "schema": {}}})",
            "response_format.\"schema\""}}) {
    EXPECT_EQ(Read(text, false, &format), param) << text;
  }
  EXPECT_EQ(
      Read(R"({"text": {"format": {"type": "json_schema"}}})", true, &format),
      "text.format.schema");
}

}  // namespace
}  // namespace tandem::gateway
