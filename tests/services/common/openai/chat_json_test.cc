#include "services/common/openai/chat_json.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "engine/base/status.h"

namespace tandem {
namespace {

using Cases = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<v1::TurnRequest> Parse(const std::string& text) {
  v1::TurnRequest turn;
  TANDEM_RETURN_IF_ERROR(ParseChat(text, &turn));
  return turn;
}

absl::StatusOr<v1::TurnRequest> ParseMessages(const std::string& messages) {
  return Parse("{\"messages\": " + messages + "}");
}

v1::ChatMessages Messages(const std::string& messages) {
  const absl::StatusOr<v1::TurnRequest> turn = ParseMessages(messages);
  EXPECT_TRUE(turn.ok()) << turn.status();
  return turn.ok() ? turn->messages() : v1::ChatMessages();
}

// The field that is wrong.
std::string FieldOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() && !detail->violations.empty()
             ? detail->violations[0].field
             : "none";
}

TEST(ReadMessagesTest, RolesAndContents) {
  const v1::ChatMessages chat = Messages(R"([
      {"role": "developer", "content": "Be brief."},
      {"role": "user", "content": [{"type": "text", "text": "H"},
                                   {"type": "text", "text": "i"}],
       "name": "me"},
      {"role": "assistant", "content": "Yes?", "refusal": null,
       "annotations": [], "tool_calls": []},
      {"role": "system", "content": ""}])");
  ASSERT_EQ(chat.messages_size(), 4);
  EXPECT_EQ(chat.messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(chat.messages(1).role(), v1::CHAT_ROLE_USER);
  EXPECT_EQ(chat.messages(1).content(), "Hi");
  EXPECT_EQ(chat.messages(1).name(), "");
  EXPECT_EQ(chat.messages(2).role(), v1::CHAT_ROLE_ASSISTANT);
  EXPECT_EQ(chat.messages(3).role(), v1::CHAT_ROLE_SYSTEM);
}

TEST(ReadMessagesTest, CallsAndWhatTheyReturned) {
  const v1::ChatMessages chat = Messages(R"([
      {"role": "user", "content": "What time is it?"},
      {"role": "assistant", "content": null, "tool_calls": [
        {"id": "call_1", "type": "function",
         "function": {"name": "clock", "arguments": "{\"zone\": \"UTC\"}"}},
        {"id": "call_2", "index": 1,
         "function": {"name": "date", "arguments": {"z": 1, "a": [2.50]}}},
        {"function": {"name": "moon", "arguments": ""}}]},
      {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
      {"role": "tool", "name": "moon",
       "content": [{"type": "text", "text": "full"}]}])");
  ASSERT_EQ(chat.messages_size(), 4);
  const v1::ChatMessage& asked = chat.messages(1);
  EXPECT_EQ(asked.content(), "");
  ASSERT_EQ(asked.tool_calls_size(), 3);
  EXPECT_EQ(asked.tool_calls(0).id(), "call_1");
  EXPECT_EQ(asked.tool_calls(0).name(), "clock");
  EXPECT_EQ(asked.tool_calls(0).arguments(), R"({"zone": "UTC"})");
  // In the order in which they came.
  EXPECT_EQ(asked.tool_calls(1).arguments(), R"({"z":1,"a":[2.50]})");
  EXPECT_EQ(asked.tool_calls(2).id(), "");
  EXPECT_EQ(asked.tool_calls(2).arguments(), "{}");
  EXPECT_EQ(chat.messages(2).role(), v1::CHAT_ROLE_TOOL);
  EXPECT_EQ(chat.messages(2).tool_call_id(), "call_1");
  EXPECT_EQ(chat.messages(2).content(), "12:00");
  EXPECT_EQ(chat.messages(3).name(), "moon");
  EXPECT_EQ(chat.messages(3).content(), "full");
}

TEST(ReadMessagesTest, ReasoningHasTwoNames) {
  const v1::ChatMessages chat = Messages(R"([
      {"role": "assistant", "content": "a", "reasoning_content": "one"},
      {"role": "assistant", "content": "a", "reasoning": "two"},
      {"role": "assistant", "content": "a", "reasoning": "other",
       "reasoning_content": "three"},
      {"role": "assistant", "content": null, "reasoning": "cut"},
      {"role": "user", "content": "u", "reasoning_content": ""}])");
  ASSERT_EQ(chat.messages_size(), 5);
  EXPECT_EQ(chat.messages(0).reasoning(), "one");
  EXPECT_EQ(chat.messages(1).reasoning(), "two");
  EXPECT_EQ(chat.messages(2).reasoning(), "three");
  EXPECT_EQ(chat.messages(3).reasoning(), "cut");
}

TEST(ReadMessagesTest, WhatIsWrongIsNamed) {
  const auto call = [](const std::string& fields) {
    return R"([{"role": "assistant", "tool_calls": [)" + fields + "]}]";
  };
  for (const auto& [messages, field] :
       Cases{{"[]", "messages"},
             {"\"Hi\"", "messages"},
             {"[3]", "messages[0]"},
             {R"([{"role": "user", "content": "x"}, null])", "messages[1]"},
             {R"([{"role": "function", "content": "x"}])", "messages[0].role"},
             {R"([{"role": "me", "content": "x"}])", "messages[0].role"},
             {R"([{"role": 3, "content": "x"}])", "messages[0].role"},
             {R"([{"content": "x"}])", "messages[0].role"},
             {R"([{"role": "user"}])", "messages[0].content"},
             {R"([{"role": "tool", "content": null}])", "messages[0].content"},
             {R"([{"role": "assistant", "tool_calls": []}])",
              "messages[0].content"},
             {R"([{"role": "user", "content": [{"type": "image_url"}]}])",
              "messages[0].content[0].type"},
             {R"([{"role": "user", "content": "x", "tool_calls": [{}]}])",
              "messages[0].tool_calls"},
             {R"([{"role": "user", "content": "x", "reasoning": "r"}])",
              "messages[0].reasoning"},
             {R"([{"role": "user", "content": "x", "tool_call_id": "c"}])",
              "messages[0].tool_call_id"},
             {R"([{"role": "assistant", "content": "x", "reasoning": {}}])",
              "messages[0].reasoning"},
             {R"([{"role": "assistant", "content": "x",
                 "function_call": {"name": "f"}}])",
              "messages[0].function_call"},
             {R"([{"role": "assistant", "content": "x", "toolcalls": []}])",
              "messages[0].\"toolcalls\""},
             {R"([{"role": "assistant", "tool_calls": 3}])",
              "messages[0].tool_calls"},
             {call("3"), "messages[0].tool_calls[0]"},
             {call("{}"), "messages[0].tool_calls[0].function"},
             {call(R"({"type": "custom", "custom": {}})"),
              "messages[0].tool_calls[0].type"},
             {call(R"({"id": 3, "function": {}})"),
              "messages[0].tool_calls[0].id"},
             {call(R"({"function": {"arguments": "{}"}})"),
              "messages[0].tool_calls[0].function.name"},
             {call(R"({"function": {"name": "f"}})"),
              "messages[0].tool_calls[0].function.arguments"},
             {call(R"({"function": {"name": "f", "arguments": []}})"),
              "messages[0].tool_calls[0].function.arguments"},
             {call(R"({"function": {"name": "f", "arguments": "[1]"}})"),
              "messages[0].tool_calls[0].function.arguments"},
             {call(R"({"function": {"name": "f", "arguments": "{\"a\": "}})"),
              "messages[0].tool_calls[0].function.arguments"},
             {call(R"({"function": {"name": "f", "arguments": "{} {}"}})"),
              "messages[0].tool_calls[0].function.arguments"}}) {
    EXPECT_EQ(FieldOf(ParseMessages(messages).status()), field) << messages;
  }
}

TEST(ReadMessagesTest, DepthCostsNoStack) {
  constexpr size_t kDepth = 1000000;
  const std::string deep = std::string(kDepth, '[') + std::string(kDepth, ']');
  const v1::ChatMessages chat = Messages(
      R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f",
           "arguments": {"a": )" +
      deep + "}}}]}]");
  ASSERT_EQ(chat.messages_size(), 1);
  EXPECT_EQ(chat.messages(0).tool_calls(0).arguments(), "{\"a\":" + deep + "}");
}

TEST(ParseChatTest, TakesWhatBelongsToAConversation) {
  const absl::StatusOr<v1::TurnRequest> turn = Parse(R"({
      "messages": [{"role": "user", "content": "Hi"}], "split_reply": true,
      "template_options": {"a": true, "b": 5, "c": 0.5, "d": "x"},
      "tools": [{"type": "function", "function": {
        "name": "f", "parameters": {"type": "object", "properties": {
          "z": {}, "a": {}}}}}],
      "tool_choice": "required", "parallel_tool_calls": false})");
  ASSERT_TRUE(turn.ok()) << turn.status();
  EXPECT_EQ(turn->messages().messages_size(), 1);
  EXPECT_TRUE(turn->split_reply());
  EXPECT_TRUE(turn->template_options().at("a").bool_value());
  EXPECT_EQ(turn->template_options().at("b").int_value(), 5);
  EXPECT_EQ(turn->template_options().at("c").number_value(), 0.5);
  EXPECT_EQ(turn->template_options().at("d").text_value(), "x");
  EXPECT_EQ(turn->tools(0).parameters(),
            R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(turn->tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(turn->tool_calls_max(), 1);
  const absl::StatusOr<v1::TurnRequest> none = Parse("{}");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_messages());
  EXPECT_FALSE(none->split_reply());
}

TEST(ParseChatTest, OthersAreErrors) {
  for (const auto& [text, field] :
       Cases{{R"({"temperature": 1})", "\"temperature\""},
             {R"({"split_reply": "yes"})", "split_reply"},
             {R"({"template_options": 3})", "template_options"},
             {R"({"template_options": {"a": []}})", "template_options"}}) {
    EXPECT_EQ(FieldOf(Parse(text).status()), field) << text;
  }
  EXPECT_FALSE(Parse("[]").ok());
}

TEST(ReadContentTest, TakesTextsAlone) {
  const auto read = [](const char* text, absl::Status* status) {
    const Json content = Json::parse(text);
    const Json body = Json::object();
    JsonFields fields(body, "messages[0]");
    const std::optional<std::string> found =
        ReadContent(&fields, content, "messages[0].content");
    *status = fields.Finish();
    return found;
  };
  absl::Status status;
  EXPECT_EQ(read(R"("plain")", &status), "plain");
  EXPECT_EQ(read(R"([{"type": "text", "text": "a"},
                     {"type": "input_text", "text": "b"}])",
                 &status),
            "ab");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(read(R"([{"type": "image_url", "image_url": {}}])", &status),
            std::nullopt);
  EXPECT_EQ(status.message(),
            "messages[0].content[0].type must be text: images, audio and "
            "files are not taken");
  EXPECT_EQ(read(R"([{"type": "text"}])", &status), std::nullopt);
  EXPECT_EQ(status.message(), "messages[0].content[0].text must be a string");
  EXPECT_EQ(read(R"([3])", &status), std::nullopt);
  EXPECT_EQ(status.message(), "messages[0].content[0] must have a type");
  EXPECT_EQ(read(R"(3)", &status), std::nullopt);
  EXPECT_FALSE(status.ok());
}

}  // namespace
}  // namespace tandem
