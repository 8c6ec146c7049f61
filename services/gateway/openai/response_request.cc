#include "absl/strings/strip.h"
#include "services/common/openai/tools_json.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/response_input.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

constexpr char kIdPrefix[] = "resp_";

// The session goes on after its last turn; its history is in it.
void ReadPrevious(JsonFields* fields, ApiRequest* request) {
  const std::optional<std::string> id = fields->Text("previous_response_id");
  if (!id.has_value()) return;
  const std::optional<TurnName> name =
      ParseTurnName(absl::StripPrefix(*id, kIdPrefix));
  if (!name.has_value()) {
    return fields->Fail("previous_response_id", "is no id of a response");
  }
  request->turn.set_session_id(name->session_id);
  request->format.previous_turn = name->turn;
}

void RefuseWhatIsNotThere(JsonFields* fields) {
  fields->Refuse("background", "is not taken: an answer comes at once");
  fields->Refuse("conversation",
                 "is not taken: continue by previous_response_id");
  fields->Refuse("prompt", "is not taken: there are no stored prompts");
  fields->Refuse("include", "is not taken: there is nothing more to include");
  fields->Refuse("max_tool_calls", "is not taken: no tools are built in");
  if (fields->Whole("top_logprobs", 0, 20).value_or(0) > 0) {
    fields->Fail("top_logprobs",
                 "is not taken here; /v1/chat/completions has it");
  }
  if (fields->Text("truncation").value_or("disabled") != "disabled") {
    fields->Fail("truncation", "must be disabled: nothing is left out");
  }
  fields->Ignore({"reasoning", "stream_options"});
}

}  // namespace

absl::StatusOr<ApiRequest> ParseResponseRequest(const Json& body,
                                                absl::string_view text) {
  ApiRequest request;
  request.format.api = ReplyFormat::Api::kResponse;
  request.format.names = {.max_tokens = "max_output_tokens",
                          .prompt = "input",
                          .format = "text.format",
                          .schema = "text.format.schema",
                          .function = ""};
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadMaxTokens(&fields, "max_output_tokens", &request);
  v1::ChatMessages* messages = request.turn.mutable_messages();
  const std::optional<std::string> instructions = fields.Text("instructions");
  if (instructions.has_value()) {
    v1::ChatMessage* message = messages->add_messages();
    message->set_role(v1::CHAT_ROLE_SYSTEM);
    message->set_content(*instructions);
  }
  ReadPrevious(&fields, &request);
  OrderedTexts texts(text,
                     {kInputArguments, kFlatToolParameters, kTextFormatSchema});
  ReadInput(&fields, &texts, messages);
  ReadTools(ToolForm::kResponses, &fields, &texts, &request.turn);
  ReadTextFormat(&texts, &fields, request.turn.mutable_options());
  RefuseWhatIsNotThere(&fields);
  request.turn.set_split_reply(true);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  OrderedJson& repeated = request.format.repeated;
  const auto repeat = [&body, &repeated](const char* name) {
    repeated[name] =
        body.contains(name) ? OrderedJson(body[name]) : OrderedJson();
  };
  repeat("instructions");
  repeat("max_output_tokens");
  repeat("previous_response_id");
  repeated["temperature"] = request.turn.options().temperature();
  repeated["top_p"] = request.turn.options().top_p();
  return request;
}

}  // namespace tandem::gateway
