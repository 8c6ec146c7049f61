#include "services/coordinator/client/prompt.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/tokenizer/chat_turn.h"
#include "services/coordinator/client/request_checks.h"

namespace tandem {
namespace {

// The engine's "messages[1]" is the request's "messages.messages[1]".
constexpr char kMessagesPath[] = "messages.";

// Unicode's NFC, which some vocabularies apply first, makes a text this many
// times shorter at most: by 3.5, U+1FBE U+0308 U+0341 (7 bytes) to U+0390 (2).
constexpr size_t kNormalisedPart = 4;
// A character that a vocabulary has no bytes for is one token.
constexpr size_t kCharacterBytesMax = 4;

absl::StatusOr<std::vector<ChatMessage>> ParseMessages(
    v1::ChatMessages* messages) {
  std::vector<ChatMessage> parsed;
  parsed.reserve(static_cast<size_t>(messages->messages_size()));
  for (v1::ChatMessage& message : *messages->mutable_messages()) {
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
        return InvalidField(
            absl::StrCat("messages[", parsed.size(), "].role"),
            absl::StrCat("must be system, user or assistant, is ",
                         static_cast<int>(message.role())));
    }
    parsed.push_back(
        {.role = role, .content = std::move(*message.mutable_content())});
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

absl::StatusOr<ChatRequest> ParseChat(v1::TurnRequest* turn) {
  absl::StatusOr<std::vector<ChatMessage>> messages =
      ParseMessages(turn->mutable_messages());
  if (!messages.ok()) return PrefixFields(messages.status(), kMessagesPath);
  ChatRequest request;
  request.messages = *std::move(messages);
  TANDEM_ASSIGN_OR_RETURN(request.options, ParseTemplateOptions(*turn));
  request.today = UtcDate(absl::Now());
  return request;
}

}  // namespace

absl::StatusOr<PromptSource> ParsePrompt(v1::TurnRequest* turn) {
  if (turn->parse_special() && !turn->has_text()) {
    return InvalidField("parse_special", "goes with text only");
  }
  if (!turn->template_options().empty() && !turn->has_messages()) {
    return InvalidField("template_options", "goes with messages only");
  }
  switch (turn->prompt_case()) {
    case v1::TurnRequest::kText:
      return PromptText{.text = std::move(*turn->mutable_text()),
                        .parse_special = turn->parse_special()};
    case v1::TurnRequest::kTokens:
      return std::vector<TokenId>(turn->tokens().ids().begin(),
                                  turn->tokens().ids().end());
    case v1::TurnRequest::kMessages:
      return ParseChat(turn);
    case v1::TurnRequest::PROMPT_NOT_SET:
      break;
  }
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = kReasonEmptyPrompt,
                    .violations = {{.field = "prompt",
                                    .description = "must be set: text, "
                                                   "tokens or messages"}}},
                   "the turn has no prompt: set text, tokens or messages");
}

absl::Status CheckPrompt(const PromptSource& source,
                         const Tokenizer& tokenizer) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&source)) {
    return CheckTokenIds(*ids, tokenizer.vocab_size(), "tokens.ids");
  }
  const auto* chat = std::get_if<ChatRequest>(&source);
  return chat == nullptr ? absl::OkStatus()
                         : tokenizer.chat_template().Check(chat->options);
}

int64_t TokensAtLeast(size_t bytes, size_t token_bytes_max) {
  if (token_bytes_max == 0) return 0;
  return static_cast<int64_t>(bytes / kNormalisedPart /
                              std::max(token_bytes_max, kCharacterBytesMax));
}

absl::Status CheckPromptRoom(const PromptSource& source,
                             const PromptRoom& room) {
  int64_t tokens = 0;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&source)) {
    tokens = static_cast<int64_t>(ids->size());
  } else if (const auto* text = std::get_if<PromptText>(&source)) {
    tokens = TokensAtLeast(text->text.size(), room.token_bytes_max);
  }
  // As CheckTurnRoom, which has the exact count: one token must be generated.
  if (room.tokens_before + tokens < room.context_max) return absl::OkStatus();
  return InvalidArgument(
      kReasonContextExceeded,
      absl::StrCat("the prompt has at least ", tokens, " tokens after ",
                   room.tokens_before,
                   " of the session; the model's context has ",
                   room.context_max));
}

int64_t PromptBytes(const PromptSource& source) {
  size_t bytes = 0;
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&source)) {
    bytes = ids->size() * sizeof(TokenId);
  } else if (const auto* text = std::get_if<PromptText>(&source)) {
    bytes = text->text.size();
  } else {
    for (const ChatMessage& message : std::get<ChatRequest>(source).messages) {
      bytes += message.content.size();
    }
  }
  return static_cast<int64_t>(bytes);
}

bool IsShort(const PromptSource& source) {
  const auto* text = std::get_if<PromptText>(&source);
  return text == nullptr ? !std::holds_alternative<ChatRequest>(source)
                         : text->text.size() <= kInlineTextBytes;
}

absl::StatusOr<EncodedPrompt> EncodePrompt(const PromptSource& source,
                                           const Tokenizer& tokenizer,
                                           std::optional<TokenId> last) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&source)) {
    return EncodedPrompt{.ids = *ids};
  }
  if (const auto* text = std::get_if<PromptText>(&source)) {
    return EncodedPrompt{
        .ids = tokenizer.Encode(
            text->text, {.add_bos = !last.has_value() && tokenizer.adds_bos(),
                         .parse_special = text->parse_special})};
  }
  const auto& chat = std::get<ChatRequest>(source);
  absl::StatusOr<std::vector<TokenId>> ids =
      EncodeChatTurn(tokenizer, chat, last);
  if (!ids.ok()) return PrefixFields(ids.status(), kMessagesPath);
  return EncodedPrompt{.ids = *std::move(ids),
                       .template_date = TemplateDate(chat)};
}

absl::StatusOr<EncodedPrompt> EncodeTurn(const PromptSource& source,
                                         const GenOptions& options,
                                         const PromptPlace& place) {
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<const TokenMasks> grammar,
                          CompileOptions(options, place.tokenizer));
  TANDEM_ASSIGN_OR_RETURN(EncodedPrompt prompt,
                          EncodePrompt(source, place.tokenizer, place.last));
  prompt.grammar = std::move(grammar);
  return prompt;
}

}  // namespace tandem
