#include "services/common/openai/chat_json.h"
#include "services/common/openai/tools_json.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

constexpr int kAlternativesMax = 20;

void ReadLogprobs(JsonFields* fields, v1::GenerationOptions* options) {
  const bool logprobs = fields->Bool("logprobs").value_or(false);
  const auto top = fields->Whole("top_logprobs", 0, kAlternativesMax);
  if (logprobs) {
    options->set_logprobs(static_cast<int32_t>(top.value_or(0)));
  } else if (top.value_or(0) > 0) {
    fields->Fail("top_logprobs", "is for \"logprobs\": true only");
  }
}

// What would change the answer and is not there.
void RefuseWhatIsNotThere(JsonFields* fields) {
  fields->Refuse("functions", "is not taken: it is the older form of tools");
  fields->Refuse("function_call",
                 "is not taken: it is the older form of tool_choice");
  fields->Refuse("audio", "is not taken: the service has texts only");
  fields->Refuse("prediction", "is not taken: tandem drafts by itself");
  fields->Refuse("web_search_options", "is not taken: there is no search");
  const Json* modalities = fields->Any("modalities");
  if (modalities != nullptr && *modalities != Json::array({"text"})) {
    fields->Fail("modalities", "must be [\"text\"]");
  }
  fields->Ignore({"reasoning_effort", "verbosity"});
}

}  // namespace

absl::StatusOr<ApiRequest> ParseChatRequest(const Json& body,
                                            absl::string_view text) {
  ApiRequest request;
  request.format.api = ReplyFormat::Api::kChat;
  request.format.names = {.max_tokens = "max_tokens", .prompt = "messages"};
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadSampling(&fields, &request);
  ReadMaxTokens(&fields, "max_tokens", &request);
  // The newer name wins.
  ReadMaxTokens(&fields, "max_completion_tokens", &request);
  ReadLogprobs(&fields, request.turn.mutable_options());
  OrderedTexts texts(text, {kMessageArguments, kToolParameters, kFormatSchema});
  ReadMessages(&fields, &texts, request.turn.mutable_messages());
  ReadTools(ToolForm::kChat, &fields, &texts, &request.turn);
  ReadResponseFormat(&texts, &fields, request.turn.mutable_options());
  RefuseWhatIsNotThere(&fields);
  request.turn.set_split_reply(true);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace tandem::gateway
