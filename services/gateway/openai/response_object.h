// The objects of /v1/responses. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_

#include <string>

#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/json_fields.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// "resp_SESSION-TURN", which previous_response_id takes.
std::string ResponseId(const v1::TurnStarted& started);
// "msg_SESSION-TURN"
std::string ResponseItemId(const v1::TurnStarted& started);

// {"type": "output_text", ...}
OrderedJson ResponsePart(const std::string& text);
// The message; `ended` null: it is under way, without a part.
OrderedJson ResponseItem(const v1::TurnStarted& started,
                         const std::string& text, const v1::TurnEnded* ended);
// The whole response.
OrderedJson ResponseObject(const ReplyFormat& format,
                           const v1::TurnStarted& started,
                           const std::string& text, const v1::TurnEnded* ended);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_
