// The prompt before what is generated, "echo" of /v1/completions. A request
// with it is of no session, so the prompt's tokens are all that stand before
// the reply. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_ECHO_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_ECHO_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/reply_parts.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// What the prompt may take in the replies of all choices together; an entry of
// log-probabilities counts kLogprobBytes, about what it takes as JSON values
// and as their text.
inline constexpr int64_t kEchoBytesMax = int64_t{64} << 20;
inline constexpr int64_t kLogprobBytes = 200;

// OK, or why the prompt of the turn that has `started` is too much to be
// repeated as `format` asks.
absl::Status CheckEcho(const ReplyFormat& format,
                       const v1::TurnStarted& started);

// The log-probabilities of all of the prompt's tokens as completions have them,
// null at the first. `text` is that of the prompt, in which text_offset counts:
// a token that is not in it, as BOS, has no bytes there.
OrderedJson EchoLogprobs(const v1::PromptScored& prompt,
                         const TokenTexts& texts, absl::string_view text);
// Adds those of the reply, which follow.
void AppendLogprobs(const OrderedJson& more, OrderedJson* logprobs);

// The end of a turn whose reply is not shown.
v1::TurnEnded WithoutReply(v1::TurnEnded ended);
v1::Usage WithoutReply(v1::Usage usage);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_ECHO_H_
