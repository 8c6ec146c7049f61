#include "services/gateway/openai/whole_reply.h"

#include <string>
#include <utility>

#include "services/client/joined_reply.h"
#include "services/gateway/openai/echo.h"

namespace tandem::gateway {
namespace {

OrderedJson MessageOf(const v1::ReplyDelta& reply) {
  OrderedJson message;
  message["role"] = "assistant";
  message["content"] = reply.content();
  message["refusal"] = nullptr;
  if (!reply.reasoning().empty()) {
    message["reasoning_content"] = reply.reasoning();
  }
  if (reply.tool_calls().empty()) return message;
  if (reply.content().empty()) message["content"] = nullptr;
  for (const v1::ToolCallDelta& call : reply.tool_calls()) {
    OrderedJson entry;
    entry["id"] = call.id();
    entry["type"] = "function";
    entry["function"]["name"] = call.name();
    entry["function"]["arguments"] = call.arguments();
    message["tool_calls"].push_back(std::move(entry));
  }
  return message;
}

// Null where the prompt has none.
OrderedJson PromptLogprobs(const ReplyFormat& format, const GatheredTurn& turn,
                           const TokenTexts& texts) {
  if (turn.prompt.logprobs().empty()) return nullptr;
  return EchoLogprobs(turn.prompt, texts, format.echoed());
}

// Those of the prompt, if it has some, and of the reply.
OrderedJson LogprobsOf(const ReplyFormat& format, const OrderedJson& prompt,
                       const GatheredTurn& turn, const TokenTexts& texts) {
  const bool has_reply = turn.tokens.logprobs_size() > 0;
  if (format.api == ReplyFormat::Api::kChat) {
    return has_reply ? ChatLogprobs(turn.tokens, texts) : OrderedJson();
  }
  OrderedJson reply;
  if (has_reply) {
    reply = CompletionLogprobs(turn.tokens, texts,
                               static_cast<int64_t>(format.echoed().size()));
  }
  if (prompt.is_null()) return reply;
  OrderedJson all = prompt;
  if (has_reply) AppendLogprobs(reply, &all);
  return all;
}

OrderedJson ChoiceOf(const ReplyFormat& format, const OrderedJson& prompt,
                     const GatheredTurn& turn, const TokenTexts& texts) {
  const bool is_chat = format.api == ReplyFormat::Api::kChat;
  OrderedJson choice;
  choice["index"] = 0;
  if (is_chat) {
    choice["message"] = MessageOf(client::PartsOf(turn.tokens));
  } else {
    std::string text(format.echoed());
    if (!format.has_no_reply()) text += turn.tokens.text();
    choice["text"] = std::move(text);
  }
  choice["logprobs"] = LogprobsOf(format, prompt, turn, texts);
  choice["finish_reason"] =
      FinishReasonOf(format.has_no_reply() ? v1::FINISH_REASON_LENGTH
                                           : turn.ended.finish_reason(),
                     turn.tokens.reply().tool_calls_size());
  return choice;
}

// `prompt`: PromptLogprobs.
OrderedJson TextReply(const ReplyFormat& format, const OrderedJson& prompt,
                      const GatheredTurn& turn, const TokenTexts& texts) {
  const bool is_chat = format.api == ReplyFormat::Api::kChat;
  OrderedJson reply;
  reply["id"] = format.id;
  reply["object"] = is_chat ? "chat.completion" : "text_completion";
  reply["created"] = format.created;
  reply["model"] = turn.started.model_id();
  reply["system_fingerprint"] = turn.started.fingerprint();
  reply["choices"].push_back(ChoiceOf(format, prompt, turn, texts));
  const v1::TurnEnded end =
      format.has_no_reply() ? WithoutReply(turn.ended) : turn.ended;
  reply["usage"] = UsageObject(end.usage());
  if (format.with_tandem) {
    reply["tandem"] = TandemOf(turn.started);
    const OrderedJson ended = TandemOf(end);
    for (const auto& item : ended.items()) {
      reply["tandem"][item.key()] = item.value();
    }
  }
  return reply;
}

}  // namespace

void GatheredTurn::Add(const v1::ConverseResponse& event) {
  switch (event.event_case()) {
    case v1::ConverseResponse::kStarted:
      started = event.started();
      return;
    case v1::ConverseResponse::kTokens:
      client::JoinTokens(event.tokens(), &tokens);
      JoinItems(client::PartsOf(event.tokens()), &items);
      return;
    case v1::ConverseResponse::kEnded:
      ended = event.ended();
      client::JoinEnd(ended, &tokens);
      JoinItems(client::PartsOf(ended), &items);
      return;
    case v1::ConverseResponse::kPrompt:
      client::JoinPrompt(event.prompt(), &prompt);
      return;
    case v1::ConverseResponse::EVENT_NOT_SET:
      return;
  }
}

OrderedJson WholeReply(const ReplyFormat& format, const GatheredTurn& turn,
                       const TokenTexts& texts) {
  if (format.api == ReplyFormat::Api::kResponse) {
    return ResponseObject(format, turn.started, turn.items, &turn.ended);
  }
  return TextReply(format, PromptLogprobs(format, turn, texts), turn, texts);
}

OrderedJson ReplyOfChoices(const ReplyFormat& format,
                           const std::vector<GatheredTurn>& turns,
                           const TokenTexts& texts) {
  const OrderedJson prompt = PromptLogprobs(format, turns[0], texts);
  OrderedJson reply = TextReply(format, prompt, turns[0], texts);
  v1::Usage usage = turns[0].ended.usage();
  for (size_t i = 1; i < turns.size(); ++i) {
    OrderedJson choice = ChoiceOf(format, prompt, turns[i], texts);
    choice["index"] = i;
    reply["choices"].push_back(std::move(choice));
    AddChoice(turns[i].ended.usage(), &usage);
  }
  reply["usage"] =
      UsageObject(format.has_no_reply() ? WithoutReply(usage) : usage);
  return reply;
}

}  // namespace tandem::gateway
