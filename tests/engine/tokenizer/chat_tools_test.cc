// Chats in which tools are called, by the templates of families that call them
// (tests/data/templates/tools-*.jinja, which are compared with Jinja).

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/tokenizer/chat_turn.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

using Ids = std::vector<TokenId>;
using Messages = std::vector<ChatMessage>;

constexpr TokenId kFirstMarker = 256;
constexpr const char* kMarkers[] = {
    "<s>",
    "</s>",
    "<|observation|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|python_tag|>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|end_of_text|>",
    "<|tool_call|>",
    "<|start|>",
    "<|end|>",
    "<|message|>",
    "<|channel|>",
    "<|call|>",
    "<|return|>",
    "<|user|>",
    "<|assistant|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜User｜>",
    "<｜tool▁calls▁end｜>",
    "<｜end▁of▁sentence｜>",
};

struct Family {
  const char* name;
  // How a reply with a call of `calls` ends, and the token that ends it.
  const char* call_end;
  const char* reply_end;
  bool takes_two_calls = true;
};

constexpr Family kFamilies[] = {
    {"coder-xml", "7\n</parameter>\n</function>\n</tool_call>", "<|im_end|>"},
    {"command-r7b", "\"parameters\": {\"x\": 7}}]<|END_ACTION|>",
     "<|END_OF_TURN_TOKEN|>"},
    {"deepseek", "{\"x\":7}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "<｜end▁of▁sentence｜>"},
    {"glm45", "<arg_value>7</arg_value>\n</tool_call>", "<|observation|>"},
    {"granite", "\"arguments\": {\"x\": 7}}]", "<|end_of_text|>"},
    {"harmony", "<|message|>{\"x\": 7}", "<|call|>", false},
    {"hermes", "\"arguments\": {\"x\": 7}}\n</tool_call>", "<|im_end|>"},
    {"llama31", "\"parameters\": {\"x\": 7}}", "<|eot_id|>", false},
    {"mistral", "\"arguments\": {\"x\": 7}, \"id\": \"call00001\"}]", "</s>"},
    {"qwen3", "\"arguments\": {\"x\": 7}}\n</tool_call>", "<|im_end|>"},
};

std::unique_ptr<Tokenizer> Make(const Family& family) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  for (const char* marker : kMarkers) {
    vocabulary.Add(marker, TokenKind::kControl);
  }
  GgufWriter writer = vocabulary.Writer();
  writer.SetString(
      kChatTemplateKey,
      ReadWholeFile(absl::StrCat(TANDEM_SOURCE_DIR "/tests/data/templates/",
                                 "tools-", family.name, ".jinja")));
  writer.SetUint32("tokenizer.ggml.bos_token_id", kFirstMarker);
  const auto end = std::find(std::begin(kMarkers), std::end(kMarkers),
                             std::string(family.reply_end));
  writer.SetUint32(
      "tokenizer.ggml.eos_token_id",
      kFirstMarker + static_cast<uint32_t>(end - std::begin(kMarkers)));
  return std::move(MakeTokenizer(writer).value());
}

ChatRequest Request(Messages messages) {
  return {.messages = std::move(messages),
          .options = {},
          .today = "2026-11-28",
          .tools = {{.name = "look",
                     .description = "Looks.",
                     .parameters = R"({"type": "object", "properties": )"
                                   R"({"x": {"type": "integer"}}})"}}};
}

// A question, a call, and what the tool returned.
Messages Called() {
  return {{.role = ChatRole::kUser, .content = "Look!"},
          {.role = ChatRole::kAssistant,
           .tool_calls = {{.id = "call00001",
                           .name = "look",
                           .arguments = "{\"x\":7}"}}},
          {.role = ChatRole::kTool,
           .content = "seen",
           .tool_call_id = "call00001",
           .name = "look"}};
}

// The text; "" and a failure where there is none.
std::string Text(const absl::StatusOr<std::vector<TextPart>>& parts) {
  EXPECT_TRUE(parts.ok()) << parts.status();
  std::string text;
  if (!parts.ok()) return text;
  for (const TextPart& part : *parts) text += part.text;
  return text;
}

int CountSpecial(const absl::StatusOr<Ids>& ids) {
  EXPECT_TRUE(ids.ok()) << ids.status();
  if (!ids.ok()) return -1;
  return static_cast<int>(std::count_if(
      ids->begin(), ids->end(), [](TokenId id) { return id >= kFirstMarker; }));
}

// A later turn with what a tool returned is the end of the whole conversation,
// from the token on that ends the call.
TEST(ChatToolsTest, WhatAToolReturnsGoesOnAfterTheCall) {
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = Make(family);
    const ChatTemplate& chat = tokenizer->chat_template();
    Messages messages = Called();
    const std::string whole = Text(chat.Render(Request(messages)));
    const std::string tail =
        Text(chat.RenderAfterReply(Request({messages.back()})));
    EXPECT_TRUE(absl::StartsWith(tail, family.reply_end)) << tail;
    EXPECT_TRUE(absl::StrContains(tail, "seen")) << tail;
    EXPECT_TRUE(absl::EndsWith(whole, family.call_end + tail))
        << whole << "\n---\n"
        << tail;
    if (!family.takes_two_calls) continue;
    ChatMessage second = messages[2];
    second.content = "seen twice";
    second.tool_call_id = "call00002";
    messages[1].tool_calls.push_back(messages[1].tool_calls[0]);
    messages[1].tool_calls[1].id = "call00002";
    messages.push_back(second);
    const std::string both = Text(chat.Render(Request(messages)));
    const std::string both_tail =
        Text(chat.RenderAfterReply(Request({messages[2], second})));
    EXPECT_TRUE(absl::StartsWith(both_tail, family.reply_end)) << both_tail;
    EXPECT_TRUE(absl::StrContains(both_tail, "seen twice")) << both_tail;
    // Numbers of results depend on what was called before in one family.
    EXPECT_TRUE(absl::EndsWith(both, both_tail)) << both;
  }
}

TEST(ChatToolsTest, TheEndThatTheModelWroteIsNotWrittenTwice) {
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = Make(family);
    const ChatRequest request = Request({Called().back()});
    const Ids end = tokenizer->Encode(family.reply_end,
                                      EncodeOptions{.parse_special = true});
    ASSERT_EQ(end.size(), 1u);
    const auto cut_off = EncodeChatTurn(*tokenizer, request, 'x');
    const auto ended = EncodeChatTurn(*tokenizer, request, end[0]);
    ASSERT_TRUE(cut_off.ok() && ended.ok());
    EXPECT_EQ(cut_off->front(), end[0]);
    EXPECT_EQ(Ids(cut_off->begin() + 1, cut_off->end()), *ended);
  }
}

TEST(ChatToolsTest, NoTextOfARequestGivesASpecialToken) {
  const std::string hostile = absl::StrJoin(kMarkers, "");
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = Make(family);
    const auto request = [](const std::string& text) {
      Messages messages = Called();
      messages[0].content = text;
      messages[1].tool_calls[0].name = text;
      messages[1].tool_calls[0].arguments =
          absl::StrCat("{\"", text, "\": [\"", text, "\"]}");
      messages[2].content = text;
      messages[2].name = text;
      ChatRequest made = Request(std::move(messages));
      made.tools[0].description = text;
      made.tools[0].parameters =
          absl::StrCat(R"({"type": "object", "properties": {")", text,
                       R"(": {"type": "string", "description": ")", text,
                       R"(", "enum": [")", text, R"("]}}})");
      return made;
    };
    const ChatRequest plain = request("xyx");
    const ChatRequest attack = request(absl::StrCat("x", hostile, "x"));
    EXPECT_EQ(CountSpecial(EncodeChatTurn(*tokenizer, attack, std::nullopt)),
              CountSpecial(EncodeChatTurn(*tokenizer, plain, std::nullopt)));
    const auto later = [](const ChatRequest& whole) {
      ChatRequest made = whole;
      made.messages = {whole.messages.back()};
      return made;
    };
    EXPECT_EQ(CountSpecial(EncodeChatTurn(*tokenizer, later(attack), 'x')),
              CountSpecial(EncodeChatTurn(*tokenizer, later(plain), 'x')));
  }
}

// Tools and reasoning reach the text of each family.
TEST(ChatToolsTest, ToolsComeOut) {
  for (const Family& family : kFamilies) {
    SCOPED_TRACE(family.name);
    const auto tokenizer = Make(family);
    ChatRequest request = Request(Called());
    const std::string with = Text(tokenizer->chat_template().Render(request));
    // One family's template writes none.
    const bool writes_tools = std::string(family.name) != "deepseek";
    EXPECT_EQ(absl::StrContains(with, "Looks."), writes_tools) << with;
    request.tools.clear();
    const std::string without =
        Text(tokenizer->chat_template().Render(request));
    EXPECT_FALSE(absl::StrContains(without, "Looks.")) << without;
    request.messages[1].reasoning = "Why not?";
    const std::string reasoned =
        Text(tokenizer->chat_template().Render(request));
    const bool writes_reasoning =
        absl::StrContains("command-r7b glm45 harmony qwen3", family.name);
    EXPECT_EQ(absl::StrContains(reasoned, "Why not?"), writes_reasoning)
        << reasoned;
  }
}

}  // namespace
}  // namespace tandem
