#include "services/coordinator/prompt.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/request_checks.h"

namespace tandem {
namespace {

constexpr char kField[] = "messages.messages";

std::vector<TokenId> EncodeMessages(const v1::ChatMessages& request,
                                    const Tokenizer& tokenizer,
                                    std::optional<TokenId> last) {
  const auto messages = ParseMessages(request);
  TANDEM_CHECK(messages.ok());
  const ChatTemplate& chat_template = tokenizer.chat_template();
  if (last.has_value()) {
    return tokenizer.EncodeChatAfter(
        *last, chat_template.Render(*messages, ChatPlace::kAfterReply));
  }
  std::vector<TokenId> ids;
  const std::optional<TokenId> bos = tokenizer.special().bos;
  if (bos.has_value() &&
      (tokenizer.adds_bos() || chat_template.begins_with_bos())) {
    ids.push_back(*bos);
  }
  const std::vector<TokenId> rendered =
      tokenizer.EncodeChat(chat_template.Render(*messages, ChatPlace::kStart));
  ids.insert(ids.end(), rendered.begin(), rendered.end());
  return ids;
}

}  // namespace

absl::StatusOr<std::vector<ChatMessage>> ParseMessages(
    const v1::ChatMessages& messages) {
  std::vector<ChatMessage> parsed;
  parsed.reserve(messages.messages_size());
  for (int i = 0; i < messages.messages_size(); ++i) {
    const v1::ChatMessage& message = messages.messages(i);
    ChatRole role = ChatRole::kUser;
    switch (message.role()) {
      case v1::CHAT_ROLE_SYSTEM:
        role = ChatRole::kSystem;
        break;
      case v1::CHAT_ROLE_USER:
        break;
      case v1::CHAT_ROLE_ASSISTANT:
        role = ChatRole::kAssistant;
        break;
      default:
        return InvalidField(kReasonInvalidOptions,
                            absl::StrCat(kField, "[", i, "].role"),
                            absl::StrCat("must be system, user or assistant, "
                                         "is ",
                                         static_cast<int>(message.role())));
    }
    parsed.push_back({.role = role, .content = message.content()});
  }
  TANDEM_RETURN_IF_ERROR(PrefixFields(CheckChatMessages(parsed), kField));
  return parsed;
}

absl::Status CheckPrompt(const v1::TurnRequest& turn,
                         const Tokenizer& tokenizer) {
  if (!turn.has_messages()) return absl::OkStatus();
  return tokenizer.chat_template().CheckKnown();
}

size_t PromptTextBytes(const v1::TurnRequest& turn) {
  size_t bytes = turn.text().size();
  for (const v1::ChatMessage& message : turn.messages().messages()) {
    bytes += message.content().size() + kMessageFormatBytes;
  }
  return bytes;
}

std::vector<TokenId> EncodePrompt(const v1::TurnRequest& turn,
                                  const Tokenizer& tokenizer,
                                  std::optional<TokenId> last) {
  if (turn.has_messages()) {
    return EncodeMessages(turn.messages(), tokenizer, last);
  }
  return tokenizer.Encode(turn.text(),
                          {.add_bos = !last.has_value() && tokenizer.adds_bos(),
                           .parse_special = turn.parse_special()});
}

}  // namespace tandem
