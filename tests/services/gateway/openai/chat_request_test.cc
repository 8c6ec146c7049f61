// ParseChatRequest.

#include <gtest/gtest.h>

#include "services/gateway/openai/api_request.h"

namespace tandem::gateway {
namespace {

absl::StatusOr<ApiRequest> ParseText(const std::string& text) {
  return ParseChatRequest(Json::parse(text), text);
}

absl::StatusOr<ApiRequest> Parse(const std::string& fields) {
  return ParseText(
      R"({"model": "tales", "messages": [{"role": "user", "content": "Hi"}])" +
      (fields.empty() ? "" : ", " + fields) + "}");
}

TEST(ParseChatRequestTest, MessagesBecomeTheTurns) {
  const absl::StatusOr<ApiRequest> request = ParseText(R"({
    "messages": [{"role": "developer", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "Hi"}],
                  "name": "me"},
                 {"role": "assistant", "content": "Yes?", "refusal": null},
                 {"role": "user", "content": "Go"}]})");
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::ChatMessages& messages = request->turn.messages();
  ASSERT_EQ(messages.messages_size(), 4);
  EXPECT_EQ(messages.messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(messages.messages(1).content(), "Hi");
  EXPECT_EQ(messages.messages(2).role(), v1::CHAT_ROLE_ASSISTANT);
  EXPECT_EQ(request->format.api, ReplyFormat::Api::kChat);
}

TEST(ParseChatRequestTest, ToolsAreTaken) {
  const absl::StatusOr<ApiRequest> request = ParseText(R"({
    "messages": [
      {"role": "user", "content": "What time is it?"},
      {"role": "assistant", "content": null, "reasoning_content": "Look.",
       "tool_calls": [{"id": "call_1", "type": "function", "function":
         {"name": "clock", "arguments": "{\"zone\":\"UTC\"}"}}]},
      {"role": "tool", "tool_call_id": "call_1", "content": "12:00"}],
    "tools": [{"type": "function", "function": {"name": "clock",
      "parameters": {"type": "object", "properties": {"zone": {}, "a": {}}}}}],
    "tool_choice": {"type": "function", "function": {"name": "clock"}},
    "parallel_tool_calls": false, "n": 2})");
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::TurnRequest& turn = request->turn;
  EXPECT_EQ(turn.messages().messages(1).reasoning(), "Look.");
  EXPECT_EQ(turn.messages().messages(1).tool_calls(0).arguments(),
            R"({"zone":"UTC"})");
  EXPECT_EQ(turn.messages().messages(2).tool_call_id(), "call_1");
  EXPECT_EQ(turn.tools(0).parameters(),
            R"({"type":"object","properties":{"zone":{},"a":{}}})");
  EXPECT_EQ(turn.tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(turn.tool_name(), "clock");
  EXPECT_EQ(turn.tool_calls_max(), 1);
  EXPECT_EQ(request->format.choices, 2);
}

TEST(ParseChatRequestTest, RepliesAreSplit) {
  EXPECT_TRUE(Parse("")->turn.split_reply());
}

TEST(ParseChatRequestTest, TheServicesDefaultBoundsTokens) {
  EXPECT_FALSE(Parse("")->turn.options().has_max_tokens());
  const absl::StatusOr<ApiRequest> request =
      Parse(R"("max_tokens": 5, "max_completion_tokens": 9)");
  EXPECT_EQ(request->turn.options().max_tokens(), 9);
  EXPECT_EQ(request->format.names.max_tokens, "max_completion_tokens");
}

TEST(ParseChatRequestTest, Logprobs) {
  EXPECT_FALSE(Parse("")->turn.options().has_logprobs());
  EXPECT_EQ(Parse(R"("logprobs": true)")->turn.options().logprobs(), 0);
  EXPECT_TRUE(Parse(R"("logprobs": true)")->turn.options().has_logprobs());
  EXPECT_EQ(Parse(R"("logprobs": true, "top_logprobs": 3)")
                ->turn.options()
                .logprobs(),
            3);
  EXPECT_FALSE(Parse(R"("top_logprobs": 3)").ok());
}

TEST(ParseChatRequestTest, HarmlessFieldsAreIgnored) {
  EXPECT_TRUE(Parse(R"("user": "x", "store": true, "metadata": {"a": "b"},
    "parallel_tool_calls": true, "tools": [], "tool_choice": "auto",
    "response_format": {"type": "text"}, "modalities": ["text"],
    "service_tier": "auto", "reasoning_effort": "low")")
                  .ok());
}

TEST(ParseChatRequestTest, WhatIsNotThereIsRefusedByName) {
  for (const auto& [fields, param] :
       std::vector<std::pair<std::string, std::string>>{
           {R"("tools": [{"type": "function"}])", "tools[0].function"},
           {R"("tools": [{"type": "web_search"}])", "tools[0].type"},
           {R"("function_call": "auto")", "function_call"},
           {R"("functions": [{}])", "functions"},
           {R"("tool_choice": "required")", "tool_choice"},
           {R"("response_format": {"type": "json"})", "response_format.type"},
           {R"("response_format": {"type": "json_schema", "json_schema": {}})",
            "response_format.json_schema.schema"},
           {R"("modalities": ["text", "audio"])", "modalities"},
           {R"("audio": {"voice": "x"})", "audio"},
           {R"("n": 65)", "n"},
           {R"("max_completion_tokens": "many")", "max_completion_tokens"},
           {R"("top_logprobs": 21, "logprobs": true)", "top_logprobs"},
           {R"("guided_json": {})", "\"guided_json\""}}) {
    const absl::StatusOr<ApiRequest> request = Parse(fields);
    ASSERT_FALSE(request.ok()) << fields;
    EXPECT_EQ(ErrorObject(request.status())["param"], param) << fields;
  }
}

TEST(ParseChatRequestTest, WrongMessagesAreNamed) {
  for (const auto& [messages, param] :
       std::vector<std::pair<std::string, std::string>>{
           {"[]", "messages"},
           {"\"Hi\"", "messages"},
           {"[3]", "messages[0]"},
           {R"([{"role": "function", "content": "x"}])", "messages[0].role"},
           {R"([{"content": "x"}])", "messages[0].role"},
           {R"([{"role": "user"}])", "messages[0].content"},
           {R"([{"role": "assistant", "content": "x", "tool_calls": [{}]}])",
            "messages[0].tool_calls[0].function"}}) {
    const absl::StatusOr<ApiRequest> request =
        ParseText("{\"messages\": " + messages + "}");
    ASSERT_FALSE(request.ok()) << messages;
    EXPECT_EQ(ErrorObject(request.status())["param"], param) << messages;
  }
}

}  // namespace
}  // namespace tandem::gateway
