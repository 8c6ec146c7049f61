// ParseResponseRequest.

#include <gtest/gtest.h>

#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_object.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

absl::StatusOr<ApiRequest> Parse(const std::string& text) {
  return ParseResponseRequest(Json::parse(text), text);
}

TEST(ParseResponseRequestTest, InputsBecomeMessages) {
  const absl::StatusOr<ApiRequest> text =
      Parse(R"({"input": "Hi", "instructions": "Be brief."})");
  ASSERT_TRUE(text.ok()) << text.status();
  ASSERT_EQ(text->turn.messages().messages_size(), 2);
  EXPECT_EQ(text->turn.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(text->turn.messages().messages(1).content(), "Hi");
  EXPECT_EQ(text->format.repeated["instructions"], "Be brief.");
  const absl::StatusOr<ApiRequest> list = Parse(R"({"input": [
    {"type": "message", "role": "user",
     "content": [{"type": "input_text", "text": "Hi"}]},
    {"role": "assistant", "id": "msg_1", "status": "completed",
     "content": [{"type": "output_text", "text": "Yes", "annotations": []}]},
    {"role": "user", "content": "Go"}], "max_output_tokens": 9})");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->turn.messages().messages_size(), 3);
  EXPECT_EQ(list->turn.options().max_tokens(), 9);
  EXPECT_EQ(list->format.names.max_tokens, "max_output_tokens");
}

TEST(ParseResponseRequestTest, APreviousResponseIsASession) {
  const absl::StatusOr<ApiRequest> request =
      Parse(std::string(R"({"input": "Hi", "previous_response_id": "resp_)") +
            kSession + "-2\"}");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->turn.session_id(), kSession);
  EXPECT_EQ(request->format.previous_turn, 2);
}

TEST(ParseResponseRequestTest, ToolsAreTaken) {
  const absl::StatusOr<ApiRequest> request = Parse(R"({
    "input": "What time is it?", "parallel_tool_calls": false,
    "tools": [{"type": "function", "name": "clock", "strict": true,
               "parameters": {"type": "object", "properties": {"z": {},
                                                               "a": {}}}}],
    "tool_choice": "required"})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->turn.tools(0).name(), "clock");
  EXPECT_EQ(request->turn.tools(0).parameters(),
            R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(request->turn.tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(request->turn.tool_calls_max(), 1);
  EXPECT_TRUE(request->turn.split_reply());
}

TEST(ParseResponseRequestTest, TheReplyRepeatsWhatWasAsked) {
  const std::string tools =
      R"([{"name":"clock","parameters":{},"strict":true,"type":"function"}])";
  const absl::StatusOr<ApiRequest> request =
      Parse(R"({"input": "Hi", "parallel_tool_calls": false,
                "tool_choice": {"type": "function", "name": "clock"},
                "text": {"format": {"type": "text"}, "verbosity": "low"},
                "tools": )" +
            tools + "}");
  ASSERT_TRUE(request.ok()) << request.status();
  const OrderedJson json =
      ResponseObject(request->format, Started(), {}, nullptr);
  EXPECT_EQ(json["tools"].dump(), tools);
  EXPECT_EQ(json["tool_choice"]["name"], "clock");
  EXPECT_EQ(json["parallel_tool_calls"], false);
  EXPECT_EQ(json["text"].dump(), R"({"format":{"type":"text"}})");
  const OrderedJson plain = ResponseObject(
      Parse(R"({"input": "Hi", "tools": null, "text": {"format": null}})")
          ->format,
      Started(), {}, nullptr);
  EXPECT_EQ(plain["tools"].dump(), "[]");
  EXPECT_EQ(plain["tool_choice"], "auto");
  EXPECT_EQ(plain["parallel_tool_calls"], true);
  EXPECT_EQ(plain["text"]["format"]["type"], "text");
  EXPECT_TRUE(plain["instructions"].is_null());
}

TEST(ParseResponseRequestTest, WhatIsRepeatedIsNotEndlesslyDeep) {
  const auto deep = [](size_t levels) {
    return Parse(R"({"input": "Hi", "tools": [{"type": "function",
        "name": "f", "parameters": {"a": )" +
                 std::string(levels, '[') + std::string(levels, ']') + "}}]}");
  };
  // The list, the tool and its schema are levels too.
  EXPECT_TRUE(deep(125).ok());
  for (const size_t levels : {size_t{126}, size_t{1000000}}) {
    const absl::StatusOr<ApiRequest> request = deep(levels);
    ASSERT_FALSE(request.ok());
    EXPECT_EQ(ErrorObject(request.status())["param"], "tools");
  }
}

TEST(ParseResponseRequestTest, AnswersOfToolsContinueASession) {
  const absl::StatusOr<ApiRequest> request =
      Parse(std::string(R"({"input": [{"type": "function_call_output",
                      "call_id": "call_1", "output": "12:00"}],
                      "previous_response_id": "resp_)") +
            kSession + "-2\"}");
  ASSERT_TRUE(request.ok()) << request.status();
  ASSERT_EQ(request->turn.messages().messages_size(), 1);
  EXPECT_EQ(request->turn.messages().messages(0).role(), v1::CHAT_ROLE_TOOL);
  EXPECT_EQ(request->turn.session_id(), kSession);
}

TEST(ParseResponseRequestTest, ErrorsOfTheServiceAreInItsTerms) {
  const FieldNames names = Parse(R"({"input": "Hi"})")->format.names;
  for (const auto& [field, param] :
       std::vector<std::pair<std::string, std::string>>{
           {"start.tools[2].parameters", "tools[2].parameters"},
           {"start.tool_name", "tool_choice.name"},
           {"start.messages.messages[1].tool_calls[0].arguments", "input"},
           {"start.options.response_format", "text.format"}}) {
    const absl::Status status =
        InTermsOf(InvalidField(field, "is wrong"), names);
    EXPECT_EQ(ErrorObject(status)["param"], param) << field;
  }
}

TEST(ParseResponseRequestTest, WhatIsNotThereIsRefusedByName) {
  for (const auto& [fields, param] :
       std::vector<std::pair<std::string, std::string>>{
           {R"("input": [])", "input"},
           {R"("instructions": "x")", "input"},
           {R"("input": [{"type": "item_reference"}])", "input[0].type"},
           {R"("input": "x", "tools": [{}])", "tools[0].type"},
           {R"("input": "x", "tool_choice": "required")", "tool_choice"},
           {R"("input": "x", "max_tool_calls": 3)", "max_tool_calls"},
           {R"("input": "x", "background": true)", "background"},
           {R"("input": "x", "truncation": "auto")", "truncation"},
           {R"("input": "x", "text": {"format": {"type": "json_schema"}})",
            "text.format.schema"},
           {R"("input": "x", "previous_response_id": "resp_1")",
            "previous_response_id"},
           {R"("input": "x", "top_logprobs": 2)", "top_logprobs"}}) {
    const absl::StatusOr<ApiRequest> request = Parse("{" + fields + "}");
    ASSERT_FALSE(request.ok()) << fields;
    EXPECT_EQ(ErrorObject(request.status())["param"], param) << fields;
  }
  EXPECT_TRUE(Parse(R"({"input": "x", "text": {"format": {"type": "text"}},
                        "truncation": "disabled", "store": false})")
                  .ok());
}

}  // namespace
}  // namespace tandem::gateway
