// Errors as OpenAI's API has them: {"error": {message, type, param, code}}, and
// the status and headers of HTTP that go with each. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_API_ERROR_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_API_ERROR_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/openai/json_fields.h"
#include "services/gateway/http/http_message.h"

namespace tandem::gateway {

// How a request's fields are called in its API where the service calls them
// otherwise.
struct FieldNames {
  std::string max_tokens = "max_tokens";
  std::string prompt = "prompt";
  std::string format = "response_format";
  std::string schema = "response_format.json_schema.schema";
  // Before the names of what a function has, in tools and in calls. "": so in
  // /v1/responses, where messages are made of the items of `prompt`.
  std::string function = "function.";
  // Tokens whose text is asked for.
  std::string token_ids = "token_ids";
};

// The status of HTTP for a status of gRPC.
int HttpStatusOf(absl::StatusCode code);

// `status` with fields as the client has called them ("stop" for
// "start.options.stop_strings"); gRPC's own words about connections, which name
// addresses, are replaced.
absl::Status InTermsOf(const absl::Status& status, const FieldNames& names);

// {"message", "type", "param", "code"}: `code` is tandem's reason in lower
// case.
OrderedJson ErrorObject(const absl::Status& status);

// The whole answer, with Retry-After where trying again helps.
HttpResponse ErrorResponse(const absl::Status& status);
// The same for what is no error of the service: `code` as "not_found".
HttpResponse ErrorResponse(int http_status, absl::string_view code,
                           absl::string_view message);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_API_ERROR_H_
