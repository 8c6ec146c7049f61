#include "services/coordinator/prompt/chat_fields.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

v1::TurnRequest Turn() {
  v1::TurnRequest turn;
  v1::ChatMessage* message = turn.mutable_messages()->add_messages();
  message->set_role(v1::CHAT_ROLE_USER);
  message->set_content("u");
  return turn;
}

v1::TurnRequest TurnWithTools() {
  v1::TurnRequest turn = Turn();
  for (const char* name : {"a", "b"}) turn.add_tools()->set_name(name);
  return turn;
}

void ExpectInvalid(const absl::Status& status, const std::string& field) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(detail->reason, kReasonInvalidOptions);
  ASSERT_EQ(detail->violations.size(), 1u);
  EXPECT_EQ(detail->violations[0].field, field);
}

TEST(ChatFieldsTest, TakesAllThatMessagesHave) {
  v1::ChatMessages messages;
  v1::ChatMessage* message = messages.add_messages();
  message->set_role(v1::CHAT_ROLE_SYSTEM);
  message->set_content("s");
  message = messages.add_messages();
  message->set_role(v1::CHAT_ROLE_ASSISTANT);
  message->set_content("c");
  message->set_name("n");
  message->set_reasoning("r");
  v1::ToolCall* call = message->add_tool_calls();
  call->set_id("i");
  call->set_name("f");
  call->set_arguments("{}");
  message->add_tool_calls()->set_name("g");
  message = messages.add_messages();
  message->set_role(v1::CHAT_ROLE_TOOL);
  message->set_content("t");
  message->set_tool_call_id("i");
  const auto taken = TakeMessages(&messages);
  ASSERT_TRUE(taken.ok()) << taken.status();
  ASSERT_EQ(taken->size(), 3u);
  EXPECT_EQ((*taken)[0].role, ChatRole::kSystem);
  EXPECT_EQ((*taken)[0].content, "s");
  const ChatMessage& reply = (*taken)[1];
  EXPECT_EQ(reply.role, ChatRole::kAssistant);
  EXPECT_EQ(reply.content + reply.name + reply.reasoning, "cnr");
  ASSERT_EQ(reply.tool_calls.size(), 2u);
  EXPECT_EQ(reply.tool_calls[0].id, "i");
  EXPECT_EQ(reply.tool_calls[0].name, "f");
  EXPECT_EQ(reply.tool_calls[0].arguments, "{}");
  EXPECT_EQ(reply.tool_calls[1].name, "g");
  EXPECT_EQ((*taken)[2].role, ChatRole::kTool);
  EXPECT_EQ((*taken)[2].content + (*taken)[2].tool_call_id, "ti");
}

TEST(ChatFieldsTest, NamesTheMessageThatIsWrong) {
  const auto status = [](const std::function<void(v1::ChatMessage*)>& change) {
    v1::ChatMessages messages;
    messages.add_messages()->set_role(v1::CHAT_ROLE_USER);
    v1::ChatMessage* message = messages.add_messages();
    message->set_role(v1::CHAT_ROLE_USER);
    change(message);
    return TakeMessages(&messages).status();
  };
  ExpectInvalid(status([](v1::ChatMessage* m) {
                  m->set_role(static_cast<v1::ChatRole>(99));
                }),
                "messages[1].role");
  ExpectInvalid(
      status([](v1::ChatMessage* m) { m->add_tool_calls()->set_name("a"); }),
      "messages[1].tool_calls");
  ExpectInvalid(status([](v1::ChatMessage* m) { m->set_tool_call_id("a"); }),
                "messages[1].tool_call_id");
  ExpectInvalid(status([](v1::ChatMessage* m) { m->set_reasoning("a"); }),
                "messages[1].reasoning");
}

TEST(ChatFieldsTest, TakesTools) {
  v1::TurnRequest turn = TurnWithTools();
  turn.mutable_tools(1)->set_description("d");
  turn.mutable_tools(1)->set_parameters("{}");
  const auto taken = TakeTools(&turn);
  ASSERT_TRUE(taken.ok()) << taken.status();
  ASSERT_EQ(taken->size(), 2u);
  EXPECT_EQ((*taken)[0].name, "a");
  EXPECT_EQ((*taken)[1].name + (*taken)[1].description + (*taken)[1].parameters,
            "bd{}");
  turn = TurnWithTools();
  turn.mutable_tools(1)->set_name("a");
  ExpectInvalid(TakeTools(&turn).status(), "tools[1].name");
  turn = Turn();
  for (size_t i = 0; i <= kChatToolsMax; ++i) {
    turn.add_tools()->set_name(absl::StrCat("t", i));
  }
  ExpectInvalid(TakeTools(&turn).status(), "tools");
}

TEST(ChatFieldsTest, WithoutToolsNothingIsSaidOfThem) {
  EXPECT_TRUE(CheckToolFields(Turn()).ok());
  v1::TurnRequest turn = Turn();
  turn.set_tool_choice(v1::TOOL_CHOICE_NONE);
  ExpectInvalid(CheckToolFields(turn), "tool_choice");
  turn = Turn();
  turn.set_tool_name("a");
  ExpectInvalid(CheckToolFields(turn), "tool_name");
  turn = Turn();
  turn.set_tool_calls_max(1);
  ExpectInvalid(CheckToolFields(turn), "tool_calls_max");
}

TEST(ChatFieldsTest, ToolsGoWithMessagesAndWithoutAFormat) {
  EXPECT_TRUE(CheckToolFields(TurnWithTools()).ok());
  v1::TurnRequest turn = TurnWithTools();
  turn.set_text("t");
  ExpectInvalid(CheckToolFields(turn), "tools");
  turn = TurnWithTools();
  turn.mutable_options()->mutable_response_format();
  ExpectInvalid(CheckToolFields(turn), "tools");
}

TEST(ChatFieldsTest, ChecksTheChoiceOfATool) {
  v1::TurnRequest turn = TurnWithTools();
  for (const v1::ToolChoice choice :
       {v1::TOOL_CHOICE_UNSPECIFIED, v1::TOOL_CHOICE_AUTO, v1::TOOL_CHOICE_NONE,
        v1::TOOL_CHOICE_REQUIRED}) {
    turn.set_tool_choice(choice);
    EXPECT_TRUE(CheckToolFields(turn).ok());
    turn.set_tool_name("b");
    if (choice == v1::TOOL_CHOICE_REQUIRED) {
      EXPECT_TRUE(CheckToolFields(turn).ok());
    } else {
      ExpectInvalid(CheckToolFields(turn), "tool_name");
    }
    turn.clear_tool_name();
  }
  turn.set_tool_name("c");
  ExpectInvalid(CheckToolFields(turn), "tool_name");
  turn.clear_tool_name();
  turn.set_tool_choice(static_cast<v1::ToolChoice>(99));
  ExpectInvalid(CheckToolFields(turn), "tool_choice");
  turn.clear_tool_choice();
  for (const int calls_max : {0, 1, 64}) {
    turn.set_tool_calls_max(calls_max);
    EXPECT_TRUE(CheckToolFields(turn).ok());
  }
  for (const int calls_max : {-1, 65}) {
    turn.set_tool_calls_max(calls_max);
    ExpectInvalid(CheckToolFields(turn), "tool_calls_max");
  }
}

}  // namespace
}  // namespace tandem
