#include "engine/template/chat/chat_request.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/engine/template/chat/expect_error.h"

namespace tandem {
namespace {

using Messages = std::vector<ChatMessage>;
using Tools = std::vector<ChatTool>;

// A conversation in which tools are called.
Messages WithCalls() {
  return {{.role = ChatRole::kUser, .content = "u", .name = "Ann"},
          {.role = ChatRole::kAssistant,
           .tool_calls = {{.id = "1", .name = "a", .arguments = "{}"},
                          {.name = "b", .arguments = "{}"}},
           .reasoning = "why"},
          {.role = ChatRole::kTool, .content = "r", .tool_call_id = "1"}};
}

TEST(CheckChatMessagesTest, WantsMessagesThatEndWithWhatIsAnswered) {
  EXPECT_TRUE(CheckChatMessages({{ChatRole::kUser, ""}}).ok());
  EXPECT_TRUE(CheckChatMessages({{ChatRole::kSystem, ""}}).ok());
  ExpectInvalid(CheckChatMessages({}), "messages");
  ExpectInvalid(CheckChatMessages(Messages(kChatMessagesMax + 1)), "messages");
  EXPECT_TRUE(CheckChatMessages(Messages(kChatMessagesMax)).ok());
  const Messages answered = {{ChatRole::kUser, "a"},
                             {ChatRole::kAssistant, "b"}};
  ExpectInvalid(CheckChatMessages(answered), "messages[1].role");
}

TEST(CheckChatMessagesTest, PartsBelongToRoles) {
  EXPECT_TRUE(CheckChatMessages(WithCalls()).ok());
  for (const ChatRole role :
       {ChatRole::kSystem, ChatRole::kUser, ChatRole::kTool}) {
    Messages messages = WithCalls();
    messages[1].role = role;
    ExpectInvalid(CheckChatMessages(messages), "messages[1].tool_calls");
    messages[1].tool_calls.clear();
    ExpectInvalid(CheckChatMessages(messages), "messages[1].reasoning");
  }
  for (const ChatRole role : {ChatRole::kSystem, ChatRole::kUser}) {
    Messages messages = WithCalls();
    messages[2].role = role;
    ExpectInvalid(CheckChatMessages(messages), "messages[2].tool_call_id");
  }
  Messages messages = WithCalls();
  messages[1].tool_call_id = "1";
  ExpectInvalid(CheckChatMessages(messages), "messages[1].tool_call_id");
}

TEST(CheckChatMessagesTest, CallsAreNamedAndBounded) {
  Messages messages = WithCalls();
  messages[1].tool_calls[1].name.clear();
  ExpectInvalid(CheckChatMessages(messages), "messages[1].tool_calls[1].name");
  messages[1].tool_calls.assign(kToolCallsMax, {.name = "a"});
  EXPECT_TRUE(CheckChatMessages(messages).ok());
  messages[1].tool_calls.push_back({.name = "a"});
  ExpectInvalid(CheckChatMessages(messages), "messages[1].tool_calls",
                "at most 64 calls, has 65");
  messages = WithCalls();
  messages[1].tool_calls[0].arguments.assign(kToolArgumentsBytesMax - 2, ' ');
  EXPECT_TRUE(CheckChatMessages(messages).ok());
  messages[1].tool_calls[0].arguments.push_back(' ');
  ExpectInvalid(CheckChatMessages(messages), "messages",
                "at most 1048576 bytes in all, has 1048577");
}

TEST(CheckChatToolsTest, NamesAreWordsAndEachIsThereOnce) {
  EXPECT_TRUE(CheckChatTools({}).ok());
  EXPECT_TRUE(CheckChatTools(Tools{{.name = "a"}, {.name = "A_b-c.9"}}).ok());
  EXPECT_TRUE(CheckChatTools(Tools{{.name = std::string(64, 'a')}}).ok());
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string("a\n"),
        std::string("\u00e9"), std::string("<s>"), std::string(65, 'a')}) {
    ExpectInvalid(CheckChatTools(Tools{{.name = "a"}, {.name = name}}),
                  "tools[1].name", "1 to 64 letters");
  }
  ExpectInvalid(
      CheckChatTools(Tools{{.name = "a"}, {.name = "b"}, {.name = "a"}}),
      "tools[2].name", "'a' a second time");
}

TEST(CheckChatToolsTest, AreBounded) {
  Tools tools;
  for (size_t i = 0; i < kChatToolsMax; ++i) {
    tools.push_back({.name = absl::StrCat("t", i)});
  }
  EXPECT_TRUE(CheckChatTools(tools).ok());
  tools.push_back({.name = "t"});
  ExpectInvalid(CheckChatTools(tools), "tools", "at most 128 tools, has 129");
  tools = {{.name = "a",
            .description = std::string(1000, ' '),
            .parameters = std::string(kChatToolsBytesMax - 1001, ' ')}};
  EXPECT_TRUE(CheckChatTools(tools).ok());
  tools[0].description.push_back(' ');
  ExpectInvalid(CheckChatTools(tools), "tools", "262144 bytes in all");
}

// A change of any text gives another hash, so no text can hold it.
TEST(ChatRequestTest, TheHashIsOfAllTexts) {
  ChatRequest request = {
      .messages = WithCalls(),
      .options = {{"o", std::string("x")}},
      .today = "2026-11-28",
      .tools = {{.name = "a", .description = "d", .parameters = "{}"}}};
  const std::string hash = HashOfTexts(request);
  const size_t bytes = TextBytes(request);
  EXPECT_EQ(bytes, std::string("uAnn"
                               "1a{}b{}why"
                               "r1"
                               "ad{}")
                       .size());
  ChatMessage& reply = request.messages[1];
  for (std::string* const text :
       {&request.messages[0].content, &request.messages[0].name,
        &reply.reasoning, &reply.tool_calls[0].id, &reply.tool_calls[1].name,
        &reply.tool_calls[1].arguments, &request.messages[2].tool_call_id,
        &request.tools[0].name, &request.tools[0].description,
        &request.tools[0].parameters}) {
    text->push_back('x');
    EXPECT_NE(HashOfTexts(request), hash);
    EXPECT_EQ(TextBytes(request), bytes + 1);
    text->pop_back();
  }
  EXPECT_EQ(HashOfTexts(request), hash);
  request.options[0].value = std::string("y");
  EXPECT_NE(HashOfTexts(request), hash);
}

TEST(ChatRequestTest, AnOptionSaysTheDay) {
  ChatRequest request = {.messages = {}, .options = {}, .today = "2026-11-28"};
  EXPECT_EQ(TemplateDate(request), "2026-11-28");
  request.options.push_back({"date", std::string("2024-02-29")});
  EXPECT_EQ(TemplateDate(request), "2024-02-29");
}

}  // namespace
}  // namespace tandem
