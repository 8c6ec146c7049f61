#include "services/coordinator/client/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/tokenizer/nfc.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

using Ids = std::vector<TokenId>;

v1::TurnRequest MessagesTurn(
    const std::vector<std::pair<v1::ChatRole, std::string>>& messages) {
  v1::TurnRequest turn;
  turn.mutable_messages();
  for (const auto& [role, content] : messages) {
    v1::ChatMessage* message = turn.mutable_messages()->add_messages();
    message->set_role(role);
    message->set_content(content);
  }
  return turn;
}

absl::Status ParseStatus(v1::TurnRequest turn) {
  return ParsePrompt(&turn).status();
}

// Parses what is right.
PromptSource Parse(v1::TurnRequest turn) {
  absl::StatusOr<PromptSource> source = ParsePrompt(&turn);
  EXPECT_TRUE(source.ok()) << source.status();
  return source.ok() ? *std::move(source) : PromptSource();
}

std::string FieldOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value() || detail->violations.size() != 1) return "";
  return detail->violations[0].field;
}

void ExpectInvalid(const absl::Status& status, const std::string& field) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
  EXPECT_EQ(FieldOf(status), field);
}

TEST(PromptTest, NamesTheMessageThatIsWrong) {
  const auto expect = [](const v1::TurnRequest& turn,
                         const std::string& field) {
    ExpectInvalid(ParseStatus(turn), field);
  };
  expect(MessagesTurn({}), "messages.messages");
  expect(MessagesTurn({{v1::CHAT_ROLE_UNSPECIFIED, "a"}}),
         "messages.messages[0].role");
  expect(MessagesTurn(
             {{v1::CHAT_ROLE_USER, "a"}, {static_cast<v1::ChatRole>(99), "b"}}),
         "messages.messages[1].role");
  expect(
      MessagesTurn({{v1::CHAT_ROLE_USER, "a"}, {v1::CHAT_ROLE_ASSISTANT, "b"}}),
      "messages.messages[1].role");
  expect(MessagesTurn(std::vector<std::pair<v1::ChatRole, std::string>>(
             kChatMessagesMax + 1, {v1::CHAT_ROLE_USER, ""})),
         "messages.messages");
  v1::TurnRequest special = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  EXPECT_TRUE(ParseStatus(special).ok());
  special.set_parse_special(true);
  expect(special, "parse_special");
}

TEST(PromptTest, WantsAPrompt) {
  v1::TurnRequest turn;
  const absl::Status status = ParseStatus(turn);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonEmptyPrompt);
  EXPECT_EQ(status.message(),
            "the turn has no prompt: set text, tokens or messages");
  EXPECT_EQ(FieldOf(status), "prompt");
  turn.set_text("");
  EXPECT_TRUE(ParseStatus(turn).ok());
}

TEST(PromptTest, TakesIdsAsTheyAre) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithBytes());
  v1::TurnRequest turn;
  turn.mutable_tokens()->add_ids(1);
  turn.mutable_tokens()->add_ids(5);
  const PromptSource source = Parse(turn);
  EXPECT_TRUE(CheckPrompt(source, *tokenizer).ok());
  EXPECT_EQ(EncodePrompt(source, *tokenizer, std::nullopt)->ids, (Ids{1, 5}));
  turn.mutable_tokens()->add_ids(tokenizer->vocab_size());
  const absl::Status status = CheckPrompt(Parse(turn), *tokenizer);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidToken);
  EXPECT_EQ(FieldOf(status), "tokens.ids[2]");
}

TEST(PromptTest, ShortTextsAndIdsMayBeMadeOnTheLoop) {
  v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  EXPECT_FALSE(IsShort(Parse(turn)));
  turn.mutable_tokens();
  EXPECT_TRUE(IsShort(Parse(turn)));
  turn.set_text(std::string(kInlineTextBytes, 'a'));
  EXPECT_TRUE(IsShort(Parse(turn)));
  turn.mutable_text()->push_back('a');
  EXPECT_FALSE(IsShort(Parse(turn)));
}

TEST(PromptTest, WhatCanNotFitIsFoundWithoutTokenising) {
  const PromptRoom room{
      .tokens_before = 0, .context_max = 100, .token_bytes_max = 10};
  v1::TurnRequest turn;
  turn.set_text(std::string(99 * 4 * 10, 'a'));
  EXPECT_TRUE(CheckPromptRoom(Parse(turn), room).ok());
  turn.set_text(std::string(100 * 4 * 10, 'a'));
  const absl::Status status = CheckPromptRoom(Parse(turn), room);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonContextExceeded);
  EXPECT_TRUE(CheckPromptRoom(Parse(turn), {.context_max = 100}).ok());
  turn.set_text("a");
  EXPECT_TRUE(
      CheckPromptRoom(Parse(turn), {.tokens_before = 99, .context_max = 100})
          .ok());
  EXPECT_FALSE(
      CheckPromptRoom(Parse(turn), {.tokens_before = 100, .context_max = 100})
          .ok());
  for (int i = 0; i < 99; ++i) turn.mutable_tokens()->add_ids(1);
  EXPECT_TRUE(CheckPromptRoom(Parse(turn), room).ok());
  turn.mutable_tokens()->add_ids(1);
  EXPECT_FALSE(CheckPromptRoom(Parse(turn), room).ok());
}

// The bound holds where Unicode's NFC makes a text shorter: its worst case, and
// a vocabulary whose longest token stands for all of it.
TEST(PromptTest, TheBoundOfTokensHoldsForTextsThatAreNormalised) {
  std::string text;
  constexpr int kCharacters = 1000;
  // Iota, diaeresis and acute in 7 bytes become one character of 2.
  for (int i = 0; i < kCharacters; ++i) text += "\u1FBE\u0308\u0341";
  std::string normalised;
  EXPECT_EQ(ToNfc(text, &normalised).size(), 2u * kCharacters);
  EXPECT_LE(TokensAtLeast(text.size(), 4), 2 * kCharacters / 4);
  EXPECT_GE(TokensAtLeast(text.size(), 4), 2 * kCharacters / 5);
}

TEST(PromptTest, CountsItsBytes) {
  v1::TurnRequest turn =
      MessagesTurn({{v1::CHAT_ROLE_USER, "abc"}, {v1::CHAT_ROLE_USER, "de"}});
  EXPECT_EQ(PromptBytes(Parse(turn)), 5);
  turn.set_text("abcd");
  EXPECT_EQ(PromptBytes(Parse(turn)), 4);
  turn.mutable_tokens()->add_ids(1);
  turn.mutable_tokens()->add_ids(2);
  EXPECT_EQ(PromptBytes(Parse(turn)), 8);
}

// A turn whose messages call and answer, with a tool.
v1::TurnRequest ToolTurn() {
  v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "u"},
                                       {v1::CHAT_ROLE_ASSISTANT, ""},
                                       {v1::CHAT_ROLE_TOOL, "r"}});
  v1::ToolCall* call =
      turn.mutable_messages()->mutable_messages(1)->add_tool_calls();
  call->set_id("i");
  call->set_name("f");
  call->set_arguments("{\"x\":1}");
  turn.mutable_messages()->mutable_messages(2)->set_tool_call_id("i");
  v1::Tool* tool = turn.add_tools();
  tool->set_name("f");
  tool->set_description("d");
  tool->set_parameters("{}");
  return turn;
}

TEST(PromptTest, MessagesCarryToolsAndCalls) {
  GgufWriter writer = BpeVocabulary::WithBytes().Writer();
  writer.SetString(kChatTemplateKey,
                   "{% for t in tools %}{{ t.function.name }}"
                   "{{ t.function.description }};{% endfor %}"
                   "{% for m in messages %}{{ m.role }}{{ m.content }}"
                   "{% for c in m.tool_calls %}{{ c.function.arguments | "
                   "tojson }}{% endfor %};{% endfor %}");
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  const PromptSource source = Parse(ToolTurn());
  EXPECT_EQ(PromptBytes(source), 16);
  EXPECT_FALSE(IsShort(source));
  const auto encoded = EncodePrompt(source, *tokenizer, std::nullopt);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(tokenizer->Decode(encoded->ids, /*skip_special=*/false),
            "fd;useru;assistant{\"x\": 1};toolr;");
}

TEST(PromptTest, NamesTheToolOrTheCallThatIsWrong) {
  v1::TurnRequest turn = ToolTurn();
  turn.mutable_tools(0)->set_name("");
  ExpectInvalid(ParseStatus(turn), "tools[0].name");
  turn = ToolTurn();
  turn.set_tool_name("g");
  turn.set_tool_choice(v1::TOOL_CHOICE_REQUIRED);
  ExpectInvalid(ParseStatus(turn), "tool_name");
  turn = ToolTurn();
  turn.set_text("t");
  ExpectInvalid(ParseStatus(turn), "tools");
  turn = ToolTurn();
  v1::ToolCall* call =
      turn.mutable_messages()->mutable_messages(1)->mutable_tool_calls(0);
  call->set_name("");
  ExpectInvalid(ParseStatus(turn), "messages.messages[1].tool_calls[0].name");
  // What takes time is seen when the prompt is made.
  GgufWriter writer = BpeVocabulary::WithBytes().Writer();
  writer.SetString(kChatTemplateKey, "{{ tools | tojson }}");
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  call->set_name("f");
  call->set_arguments("{");
  ExpectInvalid(EncodePrompt(Parse(turn), *tokenizer, std::nullopt).status(),
                "messages.messages[1].tool_calls[0].arguments");
  call->set_arguments("{}");
  turn.mutable_tools(0)->set_parameters("7");
  ExpectInvalid(EncodePrompt(Parse(turn), *tokenizer, 5).status(),
                "tools[0].parameters");
}

TEST(PromptTest, NamesTheTemplateOptionThatIsWrong) {
  v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  (*turn.mutable_template_options())["enable_thinking"].set_bool_value(false);
  EXPECT_TRUE(ParseStatus(turn).ok());
  v1::TurnRequest shadow = turn;
  (*shadow.mutable_template_options())["messages"].set_int_value(1);
  ExpectInvalid(ParseStatus(shadow), "template_options.messages");
  v1::TurnRequest date = turn;
  (*date.mutable_template_options())["date"].set_text_value("today");
  ExpectInvalid(ParseStatus(date), "template_options.date");
  v1::TurnRequest unset = turn;
  (*unset.mutable_template_options())["a"];
  ExpectInvalid(ParseStatus(unset), "template_options");
  v1::TurnRequest text = turn;
  text.set_text("a");
  ExpectInvalid(ParseStatus(text), "template_options");
}

TEST(PromptTest, WantsATemplateForMessages) {
  const auto without = MakeTokenizer(TestVocabulary::WithBytes());
  const v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  const absl::Status status = CheckPrompt(Parse(turn), *without);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedChatTemplate);
  v1::TurnRequest text;
  text.set_text("a");
  EXPECT_TRUE(CheckPrompt(Parse(text), *without).ok());
  GgufWriter writer = TestVocabulary::WithBytes().Writer();
  writer.SetString(kChatTemplateKey, "a");
  const auto with = std::move(MakeTokenizer(writer).value());
  EXPECT_TRUE(CheckPrompt(Parse(turn), *with).ok());
  v1::TurnRequest named = turn;
  (*named.mutable_template_options())["template"].set_text_value("rag");
  ExpectInvalid(CheckPrompt(Parse(named), *with), "template_options.template");
}

TEST(PromptTest, EncodesMessagesAtTheStartAndAfterAReply) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId start = vocabulary.Add("<|im_start|>", TokenKind::kControl);
  const TokenId end = vocabulary.Add("<|im_end|>", TokenKind::kControl);
  GgufWriter writer = vocabulary.Writer();
  writer.SetString(kChatTemplateKey,
                   "{% for m in messages %}<|im_start|>{{ m.role }}\n"
                   "{{ m.content }}<|im_end|>\n{% endfor %}"
                   "{{ strftime_now('%Y') }}{{ mood }}");
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  const auto bytes = [](const std::string& text) {
    return Ids(text.begin(), text.end());
  };
  const auto concat = [](const std::vector<Ids>& parts) {
    Ids all;
    for (const Ids& part : parts) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  };
  v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "<|im_end|>"}});
  auto& options = *turn.mutable_template_options();
  options["date"].set_text_value("2001-02-03");
  options["mood"].set_text_value("!");
  const Ids prompt =
      concat({{start}, bytes("user\n<|im_end|>"), {end}, bytes("\n2001!")});
  const auto encode = [&](std::optional<TokenId> last) {
    const auto encoded = EncodePrompt(Parse(turn), *tokenizer, last);
    EXPECT_TRUE(encoded.ok()) << encoded.status();
    EXPECT_EQ(encoded.value_or(EncodedPrompt()).template_date, "2001-02-03");
    return encoded.value_or(EncodedPrompt()).ids;
  };
  EXPECT_EQ(encode(std::nullopt), prompt);
  EXPECT_EQ(encode(end), concat({bytes("\n"), prompt}));
  EXPECT_EQ(encode('x'), concat({{end}, bytes("\n"), prompt}));
}

// The day is drawn once, and told: with it the prompt comes again.
TEST(PromptTest, TellsTheDayThatTheTemplateWasTold) {
  GgufWriter writer = BpeVocabulary::WithBytes().Writer();
  writer.SetString(kChatTemplateKey, "{{ strftime_now('%Y-%m-%d') }}");
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  const auto first = EncodePrompt(Parse(turn), *tokenizer, std::nullopt);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->ids,
            Ids(first->template_date.begin(), first->template_date.end()));
  EXPECT_EQ(first->template_date.size(), 10u);
}

TEST(PromptTest, ATemplatesRefusalNamesTheMessages) {
  GgufWriter writer = BpeVocabulary::WithBytes().Writer();
  writer.SetString(kChatTemplateKey, "{{ raise_exception('No system!') }}");
  const auto tokenizer = std::move(MakeTokenizer(writer).value());
  const v1::TurnRequest turn = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  for (const std::optional<TokenId> last :
       {std::optional<TokenId>(), std::optional<TokenId>('x')}) {
    const absl::Status status =
        EncodePrompt(Parse(turn), *tokenizer, last).status();
    ExpectInvalid(status, "messages.messages");
    EXPECT_THAT(std::string(status.message()),
                ::testing::HasSubstr("No system!"));
  }
}

TEST(PromptTest, EncodesTextWithSpecialTokensWhereAskedTo) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithBytes());
  v1::TurnRequest turn;
  turn.set_text("</s>");
  const auto encode = [&](std::optional<TokenId> last) {
    const auto encoded = EncodePrompt(Parse(turn), *tokenizer, last);
    EXPECT_TRUE(encoded.ok()) << encoded.status();
    EXPECT_EQ(encoded.value_or(EncodedPrompt()).template_date, "");
    return encoded.value_or(EncodedPrompt()).ids;
  };
  EXPECT_EQ(encode(std::nullopt).size(), 6u);
  EXPECT_EQ(encode(5).size(), 5u);
  turn.set_parse_special(true);
  EXPECT_EQ(encode(std::nullopt), (Ids{1, 2}));
  EXPECT_EQ(encode(5), Ids{2});
}

TEST(PromptTest, ATurnHasItsGrammarToo) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithBytes());
  v1::TurnRequest turn;
  turn.set_text("a");
  GenOptions options;
  const auto plain = EncodeTurn(Parse(turn), options, {*tokenizer, 5});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->grammar, nullptr);
  options.response_format = {.kind = GrammarSource::Kind::kRegex, .text = "a+"};
  const auto bound = EncodeTurn(Parse(turn), options, {*tokenizer, 5});
  ASSERT_TRUE(bound.ok()) << bound.status();
  EXPECT_NE(bound->grammar, nullptr);
  EXPECT_EQ(bound->ids, plain->ids);
  options.response_format->text = "(";
  ExpectInvalid(EncodeTurn(Parse(turn), options, {*tokenizer, 5}).status(),
                "options.response_format.regex");
}

}  // namespace
}  // namespace tandem
