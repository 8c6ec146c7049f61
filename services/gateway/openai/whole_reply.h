// A turn's events gathered, and the reply that is no stream made of them. A
// value; one thread at a time.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_WHOLE_REPLY_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_WHOLE_REPLY_H_

#include <vector>

#include "services/common/openai/json_fields.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/reply_parts.h"
#include "services/gateway/openai/response_object.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// All of a turn.
struct GatheredTurn {
  v1::TurnStarted started;
  v1::PromptScored prompt;  // where it was asked for
  // With the text and the reply of `ended`.
  v1::TokensGenerated tokens;
  v1::TurnEnded ended;
  // The reply as /v1/responses has it.
  std::vector<OutputItem> items;

  void Add(const v1::ConverseResponse& event);
};

// `texts` has those of IdsOfLogprobs of turn.prompt and of turn.tokens.
OrderedJson WholeReply(const ReplyFormat& format, const GatheredTurn& turn,
                       const TokenTexts& texts);
// The same of several choices of a chat or completion: those of turn 0, with a
// choice for each, and the usage of all. The prompt of turn 0 is that of all.
OrderedJson ReplyOfChoices(const ReplyFormat& format,
                           const std::vector<GatheredTurn>& turns,
                           const TokenTexts& texts);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_WHOLE_REPLY_H_
