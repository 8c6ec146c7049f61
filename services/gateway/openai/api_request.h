// Requests of OpenAI's API as turns of the service. Pure functions; any thread.
//
// A field that is left out has OpenAI's default (temperature 1, top_p 1, no
// top_k, no repetition penalty), not the service's. Ranges are the service's:
// it checks them, and api_error.h words what it says in the client's terms.
// Errors: INVALID_ARGUMENT that names the field.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_API_REQUEST_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_API_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/openai/json_fields.h"
#include "services/gateway/openai/api_error.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// The prompt as the reply repeats it (echo.h).
struct Echo {
  std::string text = {};
  // Alternatives to each of its tokens, which have log-probabilities then.
  std::optional<int32_t> logprobs = {};
  // The reply is the prompt alone. The turn generates one token, which is not
  // shown.
  bool is_alone = false;
};

// How a turn is to be answered.
struct ReplyFormat {
  enum class Api { kChat, kCompletion, kResponse };
  Api api = Api::kChat;
  bool stream = false;
  bool include_usage = false;  // a last chunk with the usage
  bool with_tandem = false;    // what tandem adds to OpenAI's objects
  bool resumable = true;       // of a stream
  int choices = 1;             // asked for, "n"; several are not resumable
  int choice = 0;              // that a stream's writer is of
  FieldNames names = {};
  // Of a completion. The text of a prompt of tokens is set by who answers.
  std::optional<Echo> echo = {};
  // Of the reply; set by who answers.
  std::string id = {};
  int64_t created = 0;  // seconds since 1970
  // Fields of a /v1/responses request that its reply repeats.
  OrderedJson repeated = {};
  // The turn that the request continues; 0: none.
  int64_t previous_turn = 0;

  // Whether the turn's reply is not shown.
  bool has_no_reply() const { return echo.has_value() && echo->is_alone; }
  // The prompt that the reply repeats; "" for none.
  absl::string_view echoed() const {
    return echo.has_value() ? absl::string_view(echo->text) : "";
  }
};

struct ApiRequest {
  v1::TurnRequest turn;
  ReplyFormat format;
};

// Each takes `body` as it was parsed from `text`, where the properties of a
// schema stand in the order in which replies have them.

// /v1/chat/completions.
absl::StatusOr<ApiRequest> ParseChatRequest(const Json& body,
                                            absl::string_view text);
// /v1/completions.
absl::StatusOr<ApiRequest> ParseCompletionRequest(const Json& body,
                                                  absl::string_view text);
// /v1/responses.
absl::StatusOr<ApiRequest> ParseResponseRequest(const Json& body,
                                                absl::string_view text);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_API_REQUEST_H_
