#include "services/client/joined_reply.h"

#include <algorithm>

namespace tandem::client {
namespace {

template <typename Event>
v1::ReplyDelta PartsOfEvent(const Event& event) {
  if (event.has_reply()) return event.reply();
  v1::ReplyDelta parts;
  parts.set_content(event.text());
  return parts;
}

// Joins text and reply.
template <typename Event>
void JoinText(const Event& event, v1::TokensGenerated* all) {
  if (event.has_reply() || all->has_reply()) {
    // Events before it may have had none.
    if (!all->has_reply()) all->mutable_reply()->set_content(all->text());
    JoinReply(PartsOfEvent(event), all->mutable_reply());
  }
  all->mutable_text()->append(event.text());
}

}  // namespace

v1::ReplyDelta PartsOf(const v1::TokensGenerated& tokens) {
  return PartsOfEvent(tokens);
}

v1::ReplyDelta PartsOf(const v1::TurnEnded& ended) {
  return PartsOfEvent(ended);
}

void JoinReply(const v1::ReplyDelta& more, v1::ReplyDelta* reply) {
  reply->mutable_content()->append(more.content());
  reply->mutable_reasoning()->append(more.reasoning());
  for (const v1::ToolCallDelta& delta : more.tool_calls()) {
    const int calls = reply->tool_calls_size();
    // A call's deltas stand together.
    if (calls == 0 || reply->tool_calls(calls - 1).index() != delta.index()) {
      *reply->add_tool_calls() = delta;
    } else {
      reply->mutable_tool_calls(calls - 1)->mutable_arguments()->append(
          delta.arguments());
    }
  }
}

void JoinTokens(const v1::TokensGenerated& more, v1::TokensGenerated* all) {
  all->mutable_token_ids()->MergeFrom(more.token_ids());
  all->mutable_logprobs()->MergeFrom(more.logprobs());
  JoinText(more, all);
}

void JoinPrompt(const v1::PromptScored& more, v1::PromptScored* all) {
  // A server's lists may be of two lengths.
  const int count = std::min(more.token_ids_size(), more.logprobs_size());
  for (int i = 0; i < count; ++i) {
    all->add_token_ids(more.token_ids(i));
    *all->add_logprobs() = more.logprobs(i);
  }
}

void JoinEnd(const v1::TurnEnded& ended, v1::TokensGenerated* all) {
  JoinText(ended, all);
}

}  // namespace tandem::client
