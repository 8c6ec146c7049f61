#include "services/coordinator/client/prompt.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/tokenizer/chat_turn.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/client/split_reply.h"
#include "services/coordinator/prompt/chat_fields.h"

namespace tandem {
namespace {

// The engine's "messages[1]" is the request's "messages.messages[1]".
constexpr char kMessagesPath[] = "messages.";

// Unicode's NFC, which some vocabularies apply first, makes a text this many
// times shorter at most: by 3.5, U+1FBE U+0308 U+0341 (7 bytes) to U+0390 (2).
constexpr size_t kNormalisedPart = 4;
// A character that a vocabulary has no bytes for is one token.
constexpr size_t kCharacterBytesMax = 4;

// `status` of the engine by fields of the turn.
absl::Status PrefixMessages(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  const bool is_of_messages =
      detail.has_value() && !detail->violations.empty() &&
      absl::StartsWith(detail->violations[0].field, "messages");
  return is_of_messages ? PrefixFields(status, kMessagesPath) : status;
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
      TakeMessages(turn->mutable_messages());
  if (!messages.ok()) return PrefixMessages(messages.status());
  ChatRequest request;
  request.messages = *std::move(messages);
  TANDEM_ASSIGN_OR_RETURN(request.options, ParseTemplateOptions(*turn));
  request.today = UtcDate(absl::Now());
  TANDEM_ASSIGN_OR_RETURN(request.tools, TakeTools(turn));
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
  TANDEM_RETURN_IF_ERROR(CheckToolFields(*turn));
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
    bytes = TextBytes(std::get<ChatRequest>(source));
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
  if (!ids.ok()) return PrefixMessages(ids.status());
  return EncodedPrompt{.ids = *std::move(ids),
                       .template_date = TemplateDate(chat)};
}

absl::StatusOr<EncodedPrompt> EncodeTurn(const PromptSource& source,
                                         const GenOptions& options,
                                         const PromptPlace& place) {
  TANDEM_ASSIGN_OR_RETURN(EncodedPrompt prompt,
                          EncodePrompt(source, place.tokenizer, place.last));
  GenOptions used = options;
  if (place.split != nullptr) {
    prompt.starts_in_reasoning =
        StartsInReasoning(*place.reply_format, place.tokenizer, prompt.ids);
    used.response_format =
        FormatOfReply(source, options,
                      {.rules = *place.split,
                       .format = *place.reply_format,
                       .starts_in_reasoning = prompt.starts_in_reasoning});
  }
  absl::StatusOr<std::shared_ptr<const TokenMasks>> grammar =
      CompileOptions(used, place.tokenizer);
  if (!grammar.ok()) {
    return place.split == nullptr
               ? grammar.status()
               : InToolsWords(grammar.status(), source, *place.split);
  }
  prompt.grammar = *std::move(grammar);
  prompt.response_format = std::move(used.response_format);
  return prompt;
}

}  // namespace tandem
