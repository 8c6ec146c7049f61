#include "services/gateway/openai/response_input.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/gateway/openai/api_error.h"

namespace tandem::gateway {
namespace {

absl::StatusOr<v1::ChatMessages> Read(const std::string& input) {
  const std::string text = absl::StrCat("{\"input\": ", input, "}");
  const Json body = Json::parse(text);
  JsonFields fields(body);
  OrderedTexts texts(text, {kInputArguments});
  v1::ChatMessages messages;
  ReadInput(&fields, &texts, &messages);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return messages;
}

v1::ChatMessages Messages(const std::string& input) {
  const absl::StatusOr<v1::ChatMessages> messages = Read(input);
  EXPECT_TRUE(messages.ok()) << messages.status();
  return messages.ok() ? *messages : v1::ChatMessages();
}

TEST(ReadInputTest, ATextIsTheUsers) {
  const v1::ChatMessages chat = Messages("\"Hi\"");
  ASSERT_EQ(chat.messages_size(), 1);
  EXPECT_EQ(chat.messages(0).role(), v1::CHAT_ROLE_USER);
  EXPECT_EQ(chat.messages(0).content(), "Hi");
}

TEST(ReadInputTest, AReplyOfSeveralItemsIsOneMessage) {
  const v1::ChatMessages chat = Messages(R"([
      {"role": "user", "content": "What time is it, and what day?"},
      {"type": "reasoning", "id": "rs_1", "summary": [{"text": "short"}],
       "content": [{"type": "reasoning_text", "text": "I look "},
                   {"type": "reasoning_text", "text": "twice."}],
       "encrypted_content": null, "status": "completed"},
      {"type": "message", "role": "assistant", "id": "msg_1",
       "content": [{"type": "output_text", "text": "Let me look.",
                    "annotations": []}]},
      {"type": "function_call", "id": "fc_1", "call_id": "call_1",
       "name": "clock", "arguments": "{\"zone\":\"UTC\"}",
       "status": "completed"},
      {"type": "function_call", "call_id": "call_2", "name": "date",
       "arguments": {"z": 1, "a": 2}},
      {"type": "function_call_output", "call_id": "call_1",
       "output": "12:00"},
      {"type": "function_call_output", "call_id": "call_2",
       "output": [{"type": "input_text", "text": "Sun"},
                  {"type": "input_text", "text": "day"}]}])");
  ASSERT_EQ(chat.messages_size(), 4);
  const v1::ChatMessage& reply = chat.messages(1);
  EXPECT_EQ(reply.role(), v1::CHAT_ROLE_ASSISTANT);
  EXPECT_EQ(reply.reasoning(), "I look twice.");
  EXPECT_EQ(reply.content(), "Let me look.");
  ASSERT_EQ(reply.tool_calls_size(), 2);
  EXPECT_EQ(reply.tool_calls(0).id(), "call_1");
  EXPECT_EQ(reply.tool_calls(0).name(), "clock");
  EXPECT_EQ(reply.tool_calls(0).arguments(), R"({"zone":"UTC"})");
  EXPECT_EQ(reply.tool_calls(1).arguments(), R"({"z":1,"a":2})");
  EXPECT_EQ(chat.messages(2).role(), v1::CHAT_ROLE_TOOL);
  EXPECT_EQ(chat.messages(2).tool_call_id(), "call_1");
  EXPECT_EQ(chat.messages(2).content(), "12:00");
  EXPECT_EQ(chat.messages(3).content(), "Sunday");
}

TEST(ReadInputTest, CallsAfterOthersBeginAMessage) {
  constexpr char kCall[] = R"({"type": "function_call", "call_id": "c",
                               "name": "f", "arguments": "{}"})";
  constexpr char kThought[] =
      R"({"type": "reasoning",
          "content": [{"type": "reasoning_text", "text": "then"}]})";
  constexpr char kOutput[] =
      R"({"type": "function_call_output", "call_id": "c", "output": ""})";
  const auto list = [](const std::vector<std::string>& items) {
    return absl::StrCat("[", absl::StrJoin(items, ","), "]");
  };
  const v1::ChatMessages chat =
      Messages(list({kCall, kOutput, kCall, kThought, kCall, kOutput}));
  ASSERT_EQ(chat.messages_size(), 5);
  EXPECT_EQ(chat.messages(0).tool_calls_size(), 1);
  EXPECT_EQ(chat.messages(1).role(), v1::CHAT_ROLE_TOOL);
  EXPECT_EQ(chat.messages(2).reasoning(), "");
  EXPECT_EQ(chat.messages(3).reasoning(), "then");
  EXPECT_EQ(chat.messages(3).tool_calls_size(), 1);
  // A thought of which nothing came is no message.
  const v1::ChatMessages cut =
      Messages(list({kThought, R"({"role": "user", "content": "Go on"})",
                     R"({"role": "assistant", "content": "Yes"})"}));
  ASSERT_EQ(cut.messages_size(), 2);
  EXPECT_EQ(cut.messages(1).reasoning(), "");
}

TEST(ReadInputTest, WhatIsWrongIsNamed) {
  for (const auto& [input, param] :
       std::vector<std::pair<std::string, std::string>>{
           {"null", "input"},
           {"[]", "input"},
           {"3", "input"},
           {"[3]", "input[0]"},
           {R"([{"role": "user", "content": "x"}, {"role": "tool"}])",
            "input[1].role"},
           {R"([{"role": "user"}])", "input[0].content"},
           {R"([{"role": "user", "content": [{"type": "input_image"}]}])",
            "input[0].content[0].type"},
           {R"([{"type": "web_search_call"}])", "input[0].type"},
           {R"([{"type": "function_call", "name": "f", "arguments": "{}"}])",
            "input[0].call_id"},
           {R"([{"type": "function_call", "call_id": "c",
                 "arguments": "{}"}])",
            "input[0].name"},
           {R"([{"type": "function_call", "call_id": "c", "name": "f",
                 "arguments": "x"}])",
            "input[0].arguments"},
           {R"([{"type": "function_call", "call_id": "c", "name": "f",
                 "arguments": "{}", "output": "x"}])",
            "input[0].\"output\""},
           {R"([{"type": "function_call_output", "output": "x"}])",
            "input[0].call_id"},
           {R"([{"type": "function_call_output", "call_id": "c"}])",
            "input[0].output"},
           {R"([{"type": "function_call_output", "call_id": "c",
                 "output": [{"type": "input_image"}]}])",
            "input[0].output[0].type"},
           {R"([{"type": "reasoning", "content": "x"}])", "input[0].content"},
           {R"([{"type": "reasoning", "content": [{"text": "x"}]}])",
            "input[0].content[0].type"},
           {R"([{"type": "reasoning", "encrypted_content": "x"}])",
            "input[0].encrypted_content"}}) {
    const absl::StatusOr<v1::ChatMessages> messages = Read(input);
    ASSERT_FALSE(messages.ok()) << input;
    EXPECT_EQ(ErrorObject(messages.status())["param"], param) << input;
  }
}

}  // namespace
}  // namespace tandem::gateway
