// The fields that the requests of several endpoints have. Errors go to the
// JsonFields. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_SHARED_FIELDS_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_SHARED_FIELDS_H_

#include <optional>
#include <string>

#include "services/common/openai/json_fields.h"
#include "services/gateway/openai/api_request.h"

namespace tandem::gateway {

// model, stream, temperature, top_p, and the options beyond OpenAI's that vLLM
// and llama.cpp take at the top level; "tandem". Fields that mean nothing here
// are ignored.
void ReadShared(JsonFields* fields, ApiRequest* request);
// stop, seed, logit_bias, penalties, n and stream_options.
void ReadSampling(JsonFields* fields, ApiRequest* request);
// A maximum of tokens under the name `name`.
void ReadMaxTokens(JsonFields* fields, const char* name, ApiRequest* request);

// A session and a turn in it, as one name: "SESSION-TURN".
struct TurnName {
  std::string session_id;
  int64_t turn = 0;
};
std::optional<TurnName> ParseTurnName(absl::string_view text);
std::string WriteTurnName(const std::string& session_id, int64_t turn);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_SHARED_FIELDS_H_
