#include <cstdint>
#include <limits>

#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

// OpenAI's default for this endpoint.
constexpr int32_t kMaxTokensDefault = 16;
constexpr int kAlternativesMax = 20;
constexpr int kBestOfMax = 64;  // as n
constexpr char kPromptForms[] =
    "must be one text, or one list of token ids; send a request for each of "
    "several prompts";

// The text of a prompt of tokens is not known here.
void ReadEcho(JsonFields* fields, ApiRequest* request) {
  constexpr char kMaxTokens[] = "max_tokens";
  const auto tokens =
      fields->Whole(kMaxTokens, 0, std::numeric_limits<int32_t>::max());
  if (!fields->Bool("echo").value_or(false)) {
    if (tokens == 0) {
      fields->Fail(kMaxTokens, "may be 0 with \"echo\": true only");
    }
    return;
  }
  v1::TurnRequest& turn = request->turn;
  if (!turn.session_id().empty()) {
    fields->Fail("echo",
                 "is for requests without a session: more than the "
                 "prompt stands before the reply there");
  }
  Echo& echo = request->format.echo.emplace();
  echo.text = turn.text();
  echo.is_alone = tokens == 0;
  v1::GenerationOptions* const options = turn.mutable_options();
  if (options->has_logprobs()) {
    echo.logprobs = options->logprobs();
    turn.set_prompt_logprobs(options->logprobs());
  }
  if (!echo.is_alone) return;
  options->set_max_tokens(1);
  options->clear_logprobs();
}

void ReadPrompt(JsonFields* fields, v1::TurnRequest* turn) {
  const Json* prompt = fields->Any("prompt");
  if (prompt == nullptr) return fields->Fail("prompt", "must be set");
  if (prompt->is_array() && prompt->size() == 1 && !(*prompt)[0].is_number()) {
    prompt = &(*prompt)[0];
  }
  if (prompt->is_string()) {
    turn->set_text(prompt->get<std::string>());
    return;
  }
  if (!prompt->is_array() || prompt->empty()) {
    return fields->Fail("prompt", kPromptForms);
  }
  for (const Json& id : *prompt) {
    if (!id.is_number_integer() || id != id.get<int32_t>()) {
      return fields->Fail("prompt", kPromptForms);
    }
    turn->mutable_tokens()->add_ids(id.get<int32_t>());
  }
}

}  // namespace

absl::StatusOr<ApiRequest> ParseCompletionRequest(const Json& body,
                                                  absl::string_view text) {
  ApiRequest request;
  request.format.api = ReplyFormat::Api::kCompletion;
  request.format.names = {.token_ids = "prompt"};
  v1::GenerationOptions* options = request.turn.mutable_options();
  options->set_max_tokens(kMaxTokensDefault);
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadSampling(&fields, &request);
  if (const auto logprobs = fields.Whole("logprobs", 0, kAlternativesMax)) {
    options->set_logprobs(static_cast<int32_t>(*logprobs));
  }
  ReadPrompt(&fields, &request.turn);
  ReadEcho(&fields, &request);
  if (!request.format.has_no_reply()) {
    ReadMaxTokens(&fields, "max_tokens", &request);
  }
  OrderedTexts texts(text, {kFormatSchema});
  ReadResponseFormat(&texts, &fields, options);
  const int choices = request.format.choices;
  if (fields.Whole("best_of", 1, kBestOfMax).value_or(choices) != choices) {
    fields.Fail("best_of", "must be n: what is generated is returned");
  }
  fields.Refuse("suffix", "is not taken: texts are continued at their end");
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace tandem::gateway
