// The parts that replies of several endpoints have, made of a turn's events.
// Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_REPLY_PARTS_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_REPLY_PARTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "services/common/openai/json_fields.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// The texts of tokens by their ids. One that is not there stands as "".
using TokenTexts = std::map<int32_t, std::string>;

// "stop" or "length". A turn that was cancelled has stopped, one whose time was
// over was cut as by a maximum of tokens. "tool_calls" of a turn that came to
// its own end and has `calls` of tools.
std::string FinishReasonOf(v1::FinishReason reason, int64_t calls = 0);
// {"prompt_tokens", "completion_tokens", "total_tokens",
// "prompt_tokens_details"}
OrderedJson UsageObject(const v1::Usage& usage);
// Adds a choice to the usage of several: their prompt counts once, as the first
// one that is added has it.
void AddChoice(const v1::Usage& choice, v1::Usage* all);

// The log-probabilities of `tokens` as chats have them: {"content": [...]}.
// Bytes are null: a token's text may hold a part of a character.
OrderedJson ChatLogprobs(const v1::TokensGenerated& tokens,
                         const TokenTexts& texts);
// As completions have them. `text_bytes`: of the turn's text before `tokens`;
// text_offset counts from there, in bytes.
OrderedJson CompletionLogprobs(const v1::TokensGenerated& tokens,
                               const TokenTexts& texts, int64_t text_bytes);
OrderedJson CompletionLogprobs(const v1::PromptScored& prompt,
                               const TokenTexts& texts, int64_t text_bytes);
// Ids of all tokens that ChatLogprobs and CompletionLogprobs name.
std::vector<int32_t> IdsOfLogprobs(const v1::TokensGenerated& tokens);
std::vector<int32_t> IdsOfLogprobs(const v1::PromptScored& prompt);

// What tandem adds ("tandem" in a chunk).
OrderedJson TandemOf(const v1::TurnStarted& started);
OrderedJson TandemOf(const v1::TokensGenerated& tokens,
                     const TokenTexts& texts);
OrderedJson TandemOf(const v1::TurnEnded& ended);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_REPLY_PARTS_H_
