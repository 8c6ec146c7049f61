#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/common/openai/tools_json.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/response_input.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

constexpr char kIdPrefix[] = "resp_";
// Of a field that is repeated; schemas may have 100.
constexpr int kLevelsMax = 128;

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

// Whether `value` has at most `levels` levels of lists and objects.
bool HasAtMost(int levels, const Json& value) {
  if (!value.is_structured()) return true;
  if (levels == 0) return false;
  return std::all_of(value.begin(), value.end(), [levels](const Json& entry) {
    return HasAtMost(levels - 1, entry);
  });
}

// Sets `*repeated` to `value`, if that is there.
void Repeat(const Json* value, const std::string& name, JsonFields* fields,
            OrderedJson* repeated) {
  if (value == nullptr) return;
  if (!HasAtMost(kLevelsMax, *value)) {
    return fields->Fail(name, absl::StrCat("must have at most ", kLevelsMax,
                                           " levels of lists and objects"));
  }
  *repeated = *value;
}

// Sets what the reply repeats of the request, which was read.
void RepeatFields(JsonFields* fields, ApiRequest* request) {
  OrderedJson& repeated = request->format.repeated;
  // Null where they are not set.
  for (const char* const name :
       {"instructions", "max_output_tokens", "previous_response_id"}) {
    Repeat(fields->Any(name), name, fields, &repeated[name]);
  }
  for (const char* const name :
       {"parallel_tool_calls", "tool_choice", "tools"}) {
    if (const Json* const value = fields->Any(name)) {
      Repeat(value, name, fields, &repeated[name]);
    }
  }
  const Json* const text = fields->Any("text");
  if (text != nullptr && text->contains("format") &&
      !(*text)["format"].is_null()) {
    Repeat(&(*text)["format"], "text.format", fields,
           &repeated["text"]["format"]);
  }
  repeated["temperature"] = request->turn.options().temperature();
  repeated["top_p"] = request->turn.options().top_p();
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
  RepeatFields(&fields, &request);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace tandem::gateway
