#include "services/coordinator/client/prompt.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/tokenizer/chat_turn.h"
#include "services/coordinator/client/request_checks.h"

namespace tandem {
namespace {

constexpr char kMessages[] = "messages";

// The engine's "messages[1]" is the request's "messages.messages[1]".
absl::Status NameFields(const absl::Status& status) {
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value() || detail->violations.empty()) return status;
  for (FieldViolation& violation : detail->violations) {
    if (!absl::StartsWith(violation.field, kMessages)) continue;
    violation.field = absl::StrCat(kMessages, ".", violation.field);
  }
  return MakeError(status.code(), *detail, status.message());
}

absl::StatusOr<std::vector<ChatMessage>> ParseMessages(
    const v1::ChatMessages& messages) {
  std::vector<ChatMessage> parsed;
  parsed.reserve(static_cast<size_t>(messages.messages_size()));
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
        return InvalidField(absl::StrCat(kMessages, "[", i, "].role"),
                            absl::StrCat("must be system, user or assistant, "
                                         "is ",
                                         static_cast<int>(message.role())));
    }
    parsed.push_back({.role = role, .content = message.content()});
  }
  TANDEM_RETURN_IF_ERROR(CheckChatMessages(parsed));
  return parsed;
}

absl::StatusOr<std::vector<TemplateOption>> ParseTemplateOptions(
    const v1::TurnRequest& turn) {
  std::vector<TemplateOption> parsed;
  for (const auto& [name, option] : turn.template_options()) {
    switch (option.value_case()) {
      case v1::TemplateOption::kBoolValue:
        parsed.push_back({name, option.bool_value()});
        break;
      case v1::TemplateOption::kIntValue:
        parsed.push_back({name, option.int_value()});
        break;
      case v1::TemplateOption::kNumberValue:
        parsed.push_back({name, option.number_value()});
        break;
      case v1::TemplateOption::kTextValue:
        parsed.push_back({name, option.text_value()});
        break;
      case v1::TemplateOption::VALUE_NOT_SET:
        return InvalidField("template_options",
                            "must have a value for each name");
    }
  }
  // A map has no order of its own; errors name the first by name.
  std::sort(parsed.begin(), parsed.end(),
            [](const TemplateOption& a, const TemplateOption& b) {
              return a.name < b.name;
            });
  TANDEM_RETURN_IF_ERROR(CheckTemplateOptions(parsed));
  return parsed;
}

absl::StatusOr<ChatRequest> ParseParts(const v1::TurnRequest& turn) {
  ChatRequest request;
  TANDEM_ASSIGN_OR_RETURN(request.messages, ParseMessages(turn.messages()));
  TANDEM_ASSIGN_OR_RETURN(request.options, ParseTemplateOptions(turn));
  request.today = UtcDate(absl::Now());
  return request;
}

}  // namespace

absl::StatusOr<ChatRequest> ParseChat(const v1::TurnRequest& turn) {
  absl::StatusOr<ChatRequest> request = ParseParts(turn);
  if (!request.ok()) return NameFields(request.status());
  return request;
}

absl::Status CheckPrompt(const v1::TurnRequest& turn,
                         const Tokenizer& tokenizer) {
  if (!turn.has_messages()) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateOption> options,
                          ParseTemplateOptions(turn));
  return tokenizer.chat_template().Check(options);
}

absl::StatusOr<EncodedPrompt> EncodePrompt(const v1::TurnRequest& turn,
                                           const Tokenizer& tokenizer,
                                           std::optional<TokenId> last) {
  EncodedPrompt prompt;
  if (!turn.has_messages()) {
    prompt.ids = tokenizer.Encode(
        turn.text(), {.add_bos = !last.has_value() && tokenizer.adds_bos(),
                      .parse_special = turn.parse_special()});
    return prompt;
  }
  TANDEM_ASSIGN_OR_RETURN(const ChatRequest request, ParseChat(turn));
  absl::StatusOr<std::vector<TokenId>> ids =
      EncodeChatTurn(tokenizer, request, last);
  if (!ids.ok()) return NameFields(ids.status());
  prompt.ids = *std::move(ids);
  prompt.template_date = TemplateDate(request);
  return prompt;
}

}  // namespace tandem
