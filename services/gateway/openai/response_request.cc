#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

constexpr char kIdPrefix[] = "resp_";

void AddMessage(v1::ChatRole role, std::string text, v1::TurnRequest* turn) {
  v1::ChatMessage* message = turn->mutable_messages()->add_messages();
  message->set_role(role);
  message->set_content(std::move(text));
}

void ReadItem(JsonFields* fields, const Json& item, const std::string& path,
              v1::TurnRequest* turn) {
  if (!item.is_object()) return fields->Fail(path, "must be an object");
  JsonFields own(item, path);
  if (own.Text("type").value_or("message") != "message") {
    own.Fail("type", "must be message: there are no tools and no reasoning");
  }
  const std::optional<std::string> name = own.Text("role");
  const std::optional<v1::ChatRole> role =
      name.has_value() ? RoleOf(*name) : std::nullopt;
  if (!role.has_value()) {
    own.Fail("role", "must be system, developer, user or assistant");
  }
  own.Ignore({"id", "status"});
  std::optional<std::string> text;
  if (const Json* content = own.Any("content")) {
    text = ReadContent(fields, *content, own.PathOf("content"));
  } else {
    own.Fail("content", "must be a string or a list of parts");
  }
  fields->Fail(own.Finish());
  if (role.has_value() && text.has_value()) {
    AddMessage(*role, *std::move(text), turn);
  }
}

void ReadInput(JsonFields* fields, v1::TurnRequest* turn) {
  const Json* input = fields->Any("input");
  if (input != nullptr && input->is_string()) {
    return AddMessage(v1::CHAT_ROLE_USER, input->get<std::string>(), turn);
  }
  if (input == nullptr || !input->is_array() || input->empty()) {
    return fields->Fail("input", "must be a string or a list of messages");
  }
  for (size_t i = 0; i < input->size(); ++i) {
    ReadItem(fields, (*input)[i], absl::StrCat("input[", i, "]"), turn);
  }
}

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
  fields->Refuse("tools", "is not taken: the service calls no tools");
  const Json* choice = fields->Any("tool_choice");
  if (choice != nullptr && *choice != "none" && *choice != "auto") {
    fields->Fail("tool_choice", "is not taken: the service calls no tools");
  }
  fields->Refuse("background", "is not taken: an answer comes at once");
  fields->Refuse("conversation",
                 "is not taken: continue by previous_response_id");
  fields->Refuse("prompt", "is not taken: there are no stored prompts");
  fields->Refuse("include", "is not taken: there is nothing more to include");
  fields->Refuse("max_tool_calls", "is not taken: the service calls no tools");
  if (fields->Whole("top_logprobs", 0, 20).value_or(0) > 0) {
    fields->Fail("top_logprobs",
                 "is not taken here; /v1/chat/completions has it");
  }
  if (fields->Text("truncation").value_or("disabled") != "disabled") {
    fields->Fail("truncation", "must be disabled: nothing is left out");
  }
  fields->Ignore({"parallel_tool_calls", "reasoning", "stream_options"});
}

}  // namespace

absl::StatusOr<ApiRequest> ParseResponseRequest(const Json& body,
                                                absl::string_view text) {
  ApiRequest request;
  request.format.api = ReplyFormat::Api::kResponse;
  request.format.names = {.max_tokens = "max_output_tokens",
                          .prompt = "input",
                          .schema = "text.format.schema"};
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadMaxTokens(&fields, "max_output_tokens", &request);
  const std::optional<std::string> instructions = fields.Text("instructions");
  if (instructions.has_value()) {
    AddMessage(v1::CHAT_ROLE_SYSTEM, *instructions, &request.turn);
  }
  ReadPrevious(&fields, &request);
  ReadInput(&fields, &request.turn);
  ReadTextFormat(text, &fields, request.turn.mutable_options());
  RefuseWhatIsNotThere(&fields);
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
