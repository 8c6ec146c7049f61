#include "absl/strings/str_cat.h"
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
  v1::GenerationOptions* options = request.turn.mutable_options();
  options->set_max_tokens(kMaxTokensDefault);
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadSampling(&fields, &request);
  ReadMaxTokens(&fields, "max_tokens", &request);
  if (const auto logprobs = fields.Whole("logprobs", 0, kAlternativesMax)) {
    options->set_logprobs(static_cast<int32_t>(*logprobs));
  }
  ReadPrompt(&fields, &request.turn);
  OrderedTexts texts(text, {kFormatSchema});
  ReadResponseFormat(&texts, &fields, options);
  const int choices = request.format.choices;
  if (fields.Whole("best_of", 1, kBestOfMax).value_or(choices) != choices) {
    fields.Fail("best_of", "must be n: what is generated is returned");
  }
  fields.Refuse("echo", "is not taken: the answer is what was generated");
  fields.Refuse("suffix", "is not taken: texts are continued at their end");
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace tandem::gateway
