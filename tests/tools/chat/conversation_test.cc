#include "tools/tandem/chat/conversation.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kSession[] = "0123456789abcdef0123456789abcdef";

ChatTurn TurnOf(const std::string& prompt, const std::string& reply) {
  ChatTurn turn = {.prompt = prompt};
  turn.record.started.set_session_id(kSession);
  turn.record.tokens.set_text(reply);
  return turn;
}

// "user: Hello"
std::vector<std::string> MessagesOf(const v1::TurnRequest& request) {
  std::vector<std::string> shown;
  for (const v1::ChatMessage& message : request.messages().messages()) {
    const char* role = message.role() == v1::CHAT_ROLE_SYSTEM ? "system: "
                       : message.role() == v1::CHAT_ROLE_USER ? "user: "
                                                              : "assistant: ";
    shown.push_back(role + message.content());
  }
  return shown;
}

TEST(ConversationTest, ASessionGetsOnlyWhatIsNew) {
  Conversation conversation({.system = "Be kind."});
  v1::TurnRequest request = conversation.Request("a", {});
  EXPECT_EQ(request.session_id(), "");
  EXPECT_THAT(MessagesOf(request), ElementsAre("system: Be kind.", "user: a"));
  conversation.Add(TurnOf("a", "A"));
  request = conversation.Request("b", {});
  EXPECT_EQ(request.session_id(), kSession);
  EXPECT_THAT(MessagesOf(request), ElementsAre("user: b"));
}

TEST(ConversationTest, TheBaseAndTheOptionsAreInEachRequest) {
  v1::TurnRequest base;
  base.set_model_id("m");
  base.set_timeout_ms(7);
  const Conversation conversation({.base = base});
  v1::GenerationOptions options;
  options.set_seed(3);
  const v1::TurnRequest request = conversation.Request("a", options);
  EXPECT_EQ(request.model_id(), "m");
  EXPECT_EQ(request.timeout_ms(), 7);
  EXPECT_EQ(request.options().seed(), 3u);
}

TEST(ConversationTest, AForgottenSessionIsToldAll) {
  Conversation conversation({.system = "s"});
  conversation.Add(TurnOf("a", "A"));
  conversation.Add(TurnOf("b", "B"));
  EXPECT_TRUE(conversation.ForgetSession());
  const v1::TurnRequest request = conversation.Request("c", {});
  EXPECT_EQ(request.session_id(), "");
  EXPECT_THAT(MessagesOf(request),
              ElementsAre("system: s", "user: a", "assistant: A", "user: b",
                          "assistant: B", "user: c"));
}

TEST(ConversationTest, ThoughtsAreToldApartFromAnswers) {
  Conversation conversation({});
  EXPECT_TRUE(conversation.Request("a", {}).split_reply());
  ChatTurn turn = TurnOf("a", "<think>Hm.</think>A");
  turn.record.tokens.mutable_reply()->set_reasoning("Hm.");
  turn.record.tokens.mutable_reply()->set_content("A");
  conversation.Add(std::move(turn));
  EXPECT_TRUE(conversation.ForgetSession());
  const v1::TurnRequest request = conversation.Request("b", {});
  EXPECT_THAT(MessagesOf(request),
              ElementsAre("user: a", "assistant: A", "user: b"));
  EXPECT_EQ(request.messages().messages(1).reasoning(), "Hm.");
  const Conversation plain({.is_plain = true});
  EXPECT_FALSE(plain.Request("a", {}).split_reply());
}

TEST(ConversationTest, ATurnThatIsTakenBackIsNotTold) {
  Conversation conversation({});
  EXPECT_THAT(conversation.TakeBack().status().message(),
              HasSubstr("no message yet"));
  conversation.Add(TurnOf("a", "A"));
  conversation.Add(TurnOf("b", "B"));
  absl::StatusOr<ChatTurn> last = conversation.TakeBack();
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last->prompt, "b");
  EXPECT_THAT(MessagesOf(conversation.Request("b", {})),
              ElementsAre("user: a", "assistant: A", "user: b"));
  conversation.PutBack(*std::move(last));
  EXPECT_EQ(conversation.turns().size(), 2u);
}

// The session may have more tokens of it than came.
TEST(ConversationTest, AReplyThatAnErrorCutIsToldAsItCame) {
  Conversation conversation({});
  ChatTurn cut = TurnOf("a", "A");
  cut.error = "lost";
  conversation.Add(cut);
  EXPECT_THAT(MessagesOf(conversation.Request("b", {})),
              ElementsAre("user: a", "assistant: A", "user: b"));
}

TEST(ConversationTest, OfASessionThatIsGoneOnWithTheBeginningIsNotKnown) {
  Conversation conversation({.system = "s", .session_id = kSession});
  v1::TurnRequest request = conversation.Request("a", {});
  EXPECT_EQ(request.session_id(), kSession);
  EXPECT_THAT(MessagesOf(request), ElementsAre("system: s", "user: a"));
  conversation.Add(TurnOf("a", "A"));
  EXPECT_FALSE(conversation.ForgetSession());
  EXPECT_THAT(conversation.TakeBack().status().message(), HasSubstr("/new"));
  EXPECT_THAT(conversation.SetSystem("t").message(), HasSubstr("/new"));
  EXPECT_EQ(conversation.session_id(), kSession);
  conversation.Clear();
  EXPECT_THAT(MessagesOf(conversation.Request("b", {})),
              ElementsAre("system: s", "user: b"));
  EXPECT_TRUE(conversation.SetSystem("t").ok());
}

TEST(ConversationTest, AnotherSystemMessageIsToldWithAll) {
  Conversation conversation({.system = "s"});
  conversation.Add(TurnOf("a", "A"));
  ASSERT_TRUE(conversation.SetSystem("t").ok());
  EXPECT_THAT(MessagesOf(conversation.Request("b", {})),
              ElementsAre("system: t", "user: a", "assistant: A", "user: b"));
  ASSERT_TRUE(conversation.SetSystem("").ok());
  EXPECT_THAT(MessagesOf(conversation.Request("b", {})),
              ElementsAre("user: a", "assistant: A", "user: b"));
}

TEST(ConversationTest, PlainTextsAreJoined) {
  Conversation conversation({.is_plain = true});
  EXPECT_EQ(conversation.Request("One", {}).text(), "One");
  conversation.Add(TurnOf("One", " two"));
  EXPECT_EQ(conversation.Request(" three", {}).text(), " three");
  EXPECT_TRUE(conversation.ForgetSession());
  EXPECT_EQ(conversation.Request(" three", {}).text(), "One two three");
  EXPECT_FALSE(conversation.SetSystem("s").ok());
}

}  // namespace
}  // namespace tandem::cli
