#include "services/coordinator/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "services/coordinator/request_checks.h"
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

std::string FieldOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value() || detail->violations.size() != 1) return "";
  return detail->violations[0].field;
}

TEST(PromptTest, NamesTheMessageThatIsWrong) {
  const auto expect = [](const v1::TurnRequest& turn,
                         const std::string& field) {
    const absl::Status status = CheckTurnRequest(turn);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    ASSERT_TRUE(GetErrorDetail(status).has_value());
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
    EXPECT_EQ(FieldOf(status), field);
  };
  expect(MessagesTurn({}), "messages.messages");
  expect(MessagesTurn({{v1::CHAT_ROLE_UNSPECIFIED, "a"}}),
         "messages.messages[0].role");
  expect(MessagesTurn(
             {{v1::CHAT_ROLE_USER, "a"}, {static_cast<v1::ChatRole>(99), "b"}}),
         "messages.messages[1].role");
  expect(MessagesTurn({{v1::CHAT_ROLE_USER, "a"}, {v1::CHAT_ROLE_USER, "b"}}),
         "messages.messages[1].role");
  std::vector<std::pair<v1::ChatRole, std::string>> many;
  for (size_t i = 0; i <= kChatMessagesMax; ++i) {
    many.emplace_back(i % 2 == 0 ? v1::CHAT_ROLE_USER : v1::CHAT_ROLE_ASSISTANT,
                      "");
  }
  expect(MessagesTurn(many), "messages.messages");
  v1::TurnRequest special = MessagesTurn({{v1::CHAT_ROLE_USER, "a"}});
  EXPECT_TRUE(CheckTurnRequest(special).ok());
  special.set_parse_special(true);
  expect(special, "parse_special");
}

TEST(PromptTest, WantsATemplateForMessages) {
  const auto without = MakeTokenizer(TestVocabulary::WithBytes());
  const absl::Status status =
      CheckPrompt(MessagesTurn({{v1::CHAT_ROLE_USER, "a"}}), *without);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedChatTemplate);
  v1::TurnRequest text;
  text.set_text("a");
  EXPECT_TRUE(CheckPrompt(text, *without).ok());
}

TEST(PromptTest, EncodesMessagesAtTheStartAndAfterAReply) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId bos = vocabulary.Add("<bos>", TokenKind::kControl);
  const TokenId start = vocabulary.Add("<|im_start|>", TokenKind::kControl);
  const TokenId end = vocabulary.Add("<|im_end|>", TokenKind::kControl);
  const auto make = [&](const std::string& source) {
    GgufWriter writer = vocabulary.Writer();
    writer.SetUint32("tokenizer.ggml.bos_token_id", bos);
    writer.SetString(kChatTemplateKey, source);
    return std::move(MakeTokenizer(writer).value());
  };
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
  const v1::TurnRequest turn =
      MessagesTurn({{v1::CHAT_ROLE_USER, "<|im_end|>"}});
  const auto tokenizer = make("<|im_start|>");
  ASSERT_TRUE(CheckPrompt(turn, *tokenizer).ok());
  const Ids prompt = concat({{start},
                             bytes("user\n<|im_end|>"),
                             {end},
                             bytes("\n"),
                             {start},
                             bytes("assistant\n")});
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, std::nullopt), prompt);
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, end), concat({bytes("\n"), prompt}));
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, 'x'),
            concat({{end}, bytes("\n"), prompt}));
  // The template asks for BOS, though texts of the vocabulary have none.
  const auto with_bos = make("{{ bos_token }}<|im_start|>");
  EXPECT_EQ(EncodePrompt(turn, *with_bos, std::nullopt),
            concat({{bos}, prompt}));
  EXPECT_EQ(EncodePrompt(turn, *with_bos, end), concat({bytes("\n"), prompt}));
}

TEST(PromptTest, EncodesTextWithSpecialTokensWhereAskedTo) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithBytes());
  v1::TurnRequest turn;
  turn.set_text("</s>");
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, std::nullopt).size(), 6u);
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, 5).size(), 5u);
  turn.set_parse_special(true);
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, std::nullopt), (Ids{1, 2}));
  EXPECT_EQ(EncodePrompt(turn, *tokenizer, 5), Ids{2});
}

TEST(PromptTest, CountsTheBytesOfTexts) {
  EXPECT_EQ(PromptTextBytes(MessagesTurn(
                {{v1::CHAT_ROLE_SYSTEM, "ab"}, {v1::CHAT_ROLE_USER, "cde"}})),
            5u + 2 * kMessageFormatBytes);
  v1::TurnRequest turn;
  turn.set_text("four");
  EXPECT_EQ(PromptTextBytes(turn), 4u);
}

}  // namespace
}  // namespace tandem
