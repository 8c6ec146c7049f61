#include "services/gateway/openai/reply_parts.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "services/gateway/openai/proto_json.h"

namespace tandem::gateway {
namespace {

std::string TextOf(int32_t id, const TokenTexts& texts) {
  const auto found = texts.find(id);
  return found == texts.end() ? std::string() : found->second;
}

OrderedJson LogprobEntry(int32_t id, float logprob, const TokenTexts& texts) {
  OrderedJson entry;
  entry["token"] = TextOf(id, texts);
  entry["logprob"] = logprob;
  entry["bytes"] = nullptr;
  return entry;
}

// Event: TokensGenerated or PromptScored, which have the same lists.
template <typename Event>
OrderedJson LogprobLists(const Event& tokens, const TokenTexts& texts,
                         int64_t text_bytes) {
  OrderedJson json;
  for (const char* name :
       {"tokens", "token_logprobs", "top_logprobs", "text_offset"}) {
    json[name] = OrderedJson::array();
  }
  for (int i = 0; i < tokens.logprobs_size(); ++i) {
    const std::string text = TextOf(tokens.token_ids(i), texts);
    OrderedJson top = OrderedJson::object();
    for (const v1::TokenLogprob& other : tokens.logprobs(i).alternatives()) {
      // Two tokens may read alike; the first is the more probable one.
      const std::string name = TextOf(other.token_id(), texts);
      if (!top.contains(name)) top[name] = other.logprob();
    }
    json["tokens"].push_back(text);
    json["token_logprobs"].push_back(tokens.logprobs(i).logprob());
    json["top_logprobs"].push_back(std::move(top));
    json["text_offset"].push_back(text_bytes);
    text_bytes += static_cast<int64_t>(text.size());
  }
  return json;
}

template <typename Event>
std::vector<int32_t> IdsOf(const Event& tokens) {
  std::vector<int32_t> ids;
  for (int i = 0; i < tokens.logprobs_size(); ++i) {
    ids.push_back(tokens.token_ids(i));
    for (const v1::TokenLogprob& other : tokens.logprobs(i).alternatives()) {
      ids.push_back(other.token_id());
    }
  }
  return ids;
}

}  // namespace

std::string FinishReasonOf(v1::FinishReason reason, int64_t calls) {
  switch (reason) {
    case v1::FINISH_REASON_STOP_TOKEN:
    case v1::FINISH_REASON_GRAMMAR_END:
      return calls > 0 ? "tool_calls" : "stop";
    case v1::FINISH_REASON_LENGTH:
    case v1::FINISH_REASON_CONTEXT:
    case v1::FINISH_REASON_DEADLINE:
      return "length";
    default:
      return "stop";
  }
}

OrderedJson UsageObject(const v1::Usage& usage) {
  OrderedJson json;
  json["prompt_tokens"] = usage.prompt_tokens();
  json["completion_tokens"] = usage.generated_tokens();
  json["total_tokens"] = usage.prompt_tokens() + usage.generated_tokens();
  json["prompt_tokens_details"]["cached_tokens"] = usage.cached_prompt_tokens();
  return json;
}

void AddChoice(const v1::Usage& choice, v1::Usage* all) {
  if (all->prompt_tokens() == 0) {
    *all = choice;
    return;
  }
  all->set_generated_tokens(all->generated_tokens() +
                            choice.generated_tokens());
}

OrderedJson ChatLogprobs(const v1::TokensGenerated& tokens,
                         const TokenTexts& texts) {
  OrderedJson content = OrderedJson::array();
  for (int i = 0; i < tokens.logprobs_size(); ++i) {
    const v1::PositionLogprobs& position = tokens.logprobs(i);
    OrderedJson entry =
        LogprobEntry(tokens.token_ids(i), position.logprob(), texts);
    entry["top_logprobs"] = OrderedJson::array();
    for (const v1::TokenLogprob& other : position.alternatives()) {
      entry["top_logprobs"].push_back(
          LogprobEntry(other.token_id(), other.logprob(), texts));
    }
    content.push_back(std::move(entry));
  }
  OrderedJson json;
  json["content"] = std::move(content);
  json["refusal"] = nullptr;
  return json;
}

OrderedJson CompletionLogprobs(const v1::TokensGenerated& tokens,
                               const TokenTexts& texts, int64_t text_bytes) {
  return LogprobLists(tokens, texts, text_bytes);
}

OrderedJson CompletionLogprobs(const v1::PromptScored& prompt,
                               const TokenTexts& texts, int64_t text_bytes) {
  return LogprobLists(prompt, texts, text_bytes);
}

std::vector<int32_t> IdsOfLogprobs(const v1::TokensGenerated& tokens) {
  return IdsOf(tokens);
}

std::vector<int32_t> IdsOfLogprobs(const v1::PromptScored& prompt) {
  return IdsOf(prompt);
}

OrderedJson TandemOf(const v1::TurnStarted& started) {
  OrderedJson json;
  json["session_id"] = started.session_id();
  json["turn"] = started.turn();
  json["seed"] = started.seed();
  json["fingerprint"] = started.fingerprint();
  json["prompt_tokens"] = started.prompt_tokens();
  if (!started.template_date().empty()) {
    json["template_date"] = started.template_date();
  }
  return json;
}

OrderedJson TandemOf(const v1::TokensGenerated& tokens,
                     const TokenTexts& texts) {
  // Where the tokens' own texts are not the event's (a character that spans
  // tokens, a text that is held back), the text stands at the last token.
  std::string joined;
  for (const int32_t id : tokens.token_ids()) joined += TextOf(id, texts);
  const bool is_split = joined == tokens.text();
  OrderedJson list = OrderedJson::array();
  int round = 0;
  int in_round = 0;
  for (int i = 0; i < tokens.token_ids_size(); ++i) {
    const bool is_last = i + 1 == tokens.token_ids_size();
    OrderedJson token;
    token["id"] = tokens.token_ids(i);
    token["text"] = is_split  ? TextOf(tokens.token_ids(i), texts)
                    : is_last ? tokens.text()
                              : std::string();
    while (round < tokens.rounds_size() &&
           in_round >= tokens.rounds(round).tokens()) {
      ++round;
      in_round = 0;
    }
    if (round < tokens.rounds_size()) {
      token["drafted"] = in_round < tokens.rounds(round).accepted_tokens();
      ++in_round;
    }
    list.push_back(std::move(token));
  }
  OrderedJson rounds = OrderedJson::array();
  for (const v1::VerifiedRound& verified : tokens.rounds()) {
    OrderedJson entry;
    entry["drafted"] = verified.drafted_tokens();
    entry["accepted"] = verified.accepted_tokens();
    entry["tokens"] = verified.tokens();
    entry["lookup"] = verified.from_lookup();
    rounds.push_back(std::move(entry));
  }
  OrderedJson json;
  json["tokens"] = std::move(list);
  json["rounds"] = std::move(rounds);
  return json;
}

OrderedJson TandemOf(const v1::TurnEnded& ended) {
  OrderedJson all = ToJson(ended);
  OrderedJson json;
  json["finish_reason"] = all["finish_reason"];
  if (all.contains("speculation")) json["speculation"] = all["speculation"];
  if (all.contains("usage")) json["usage"] = all["usage"];
  return json;
}

}  // namespace tandem::gateway
