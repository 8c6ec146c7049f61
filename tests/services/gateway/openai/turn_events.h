// Events of a turn, for tests of what is made of them.

#ifndef TANDEM_TESTS_SERVICES_GATEWAY_OPENAI_TURN_EVENTS_H_
#define TANDEM_TESTS_SERVICES_GATEWAY_OPENAI_TURN_EVENTS_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/common/openai/json_fields.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

inline constexpr char kSession[] = "0123456789abcdef0123456789abcdef";

inline v1::TurnStarted Started(int64_t turn = 2) {
  v1::TurnStarted started;
  started.set_session_id(kSession);
  started.set_turn(turn);
  started.set_model_id("tales");
  started.set_fingerprint("f00d");
  started.set_seed(7);
  started.set_prompt_tokens(5);
  return started;
}

inline v1::TokensGenerated Tokens(int64_t first, const std::vector<int>& ids,
                                  const std::string& text) {
  v1::TokensGenerated tokens;
  tokens.set_first_token(first);
  for (const int id : ids) tokens.add_token_ids(id);
  tokens.set_text(text);
  return tokens;
}

// The same with log-probabilities: each token's own and one alternative's.
inline v1::TokensGenerated WithLogprobs(v1::TokensGenerated tokens) {
  for (int i = 0; i < tokens.token_ids_size(); ++i) {
    v1::PositionLogprobs* position = tokens.add_logprobs();
    position->set_logprob(-0.5);
    v1::TokenLogprob* other = position->add_alternatives();
    other->set_token_id(9);
    other->set_logprob(-0.25);
  }
  return tokens;
}

// The prompt's tokens, with log-probabilities as above.
inline v1::PromptScored Scored(const std::vector<int>& ids) {
  const v1::TokensGenerated tokens = WithLogprobs(Tokens(0, ids, ""));
  v1::PromptScored prompt;
  *prompt.mutable_token_ids() = tokens.token_ids();
  *prompt.mutable_logprobs() = tokens.logprobs();
  return prompt;
}

// What events add to the parts of a reply.
inline v1::ReplyDelta Reasoning(const std::string& text) {
  v1::ReplyDelta parts;
  parts.set_reasoning(text);
  return parts;
}
inline v1::ReplyDelta Content(const std::string& text) {
  v1::ReplyDelta parts;
  parts.set_content(text);
  return parts;
}
// Begins a call where it has a name.
inline v1::ReplyDelta Call(int index, const std::string& name,
                           const std::string& arguments) {
  v1::ReplyDelta parts;
  v1::ToolCallDelta* call = parts.add_tool_calls();
  call->set_index(index);
  if (!name.empty()) call->set_id(absl::StrCat("call_", index));
  call->set_name(name);
  call->set_arguments(arguments);
  return parts;
}
// One token, with the parts that its text adds.
inline v1::TokensGenerated Told(int64_t first, const std::string& text,
                                const v1::ReplyDelta& parts) {
  v1::TokensGenerated tokens = Tokens(first, {1}, text);
  *tokens.mutable_reply() = parts;
  return tokens;
}

inline v1::TurnEnded Ended(v1::FinishReason reason,
                           const std::string& text = "") {
  v1::TurnEnded ended;
  ended.set_finish_reason(reason);
  ended.set_text(text);
  ended.mutable_usage()->set_prompt_tokens(5);
  ended.mutable_usage()->set_generated_tokens(3);
  ended.mutable_usage()->set_cached_prompt_tokens(1);
  ended.mutable_speculation()->set_rounds(2);
  return ended;
}

// The lines of server-sent events that begin with `field`, without it.
inline std::vector<std::string> Lines(const std::string& events,
                                      const std::string& field) {
  std::vector<std::string> found;
  for (absl::string_view line : absl::StrSplit(events, '\n')) {
    if (line.substr(0, field.size() + 2) == field + ": ") {
      found.emplace_back(line.substr(field.size() + 2));
    }
  }
  return found;
}

// Their data as JSON, without "[DONE]".
inline std::vector<Json> Data(const std::string& events) {
  std::vector<Json> found;
  for (const std::string& line : Lines(events, "data")) {
    if (line != "[DONE]") found.push_back(Json::parse(line));
  }
  return found;
}

}  // namespace tandem::gateway

#endif  // TANDEM_TESTS_SERVICES_GATEWAY_OPENAI_TURN_EVENTS_H_
