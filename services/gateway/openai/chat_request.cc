#include <utility>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/response_format.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

constexpr int kAlternativesMax = 20;

void ReadMessage(JsonFields* fields, const Json& message,
                 const std::string& path, v1::ChatMessages* messages) {
  if (!message.is_object()) return fields->Fail(path, "must be an object");
  JsonFields own(message, path);
  const std::optional<std::string> name = own.Text("role");
  const std::optional<v1::ChatRole> role =
      name.has_value() ? RoleOf(*name) : std::nullopt;
  if (!role.has_value()) {
    own.Fail("role", "must be system, developer, user or assistant");
  }
  own.Refuse("tool_calls", "is not taken: the service calls no tools");
  own.Refuse("function_call", "is not taken: the service calls no tools");
  own.Refuse("audio", "is not taken: the service has texts only");
  own.Ignore({"name", "refusal", "annotations", "reasoning_content"});
  const Json* content = own.Any("content");
  std::optional<std::string> text;
  if (content == nullptr) {
    // OpenAI leaves it out in replies that only call tools.
    own.Fail("content", "must be a string or a list of parts");
  } else {
    text = ReadContent(fields, *content, own.PathOf("content"));
  }
  fields->Fail(own.Finish());
  if (!text.has_value() || !role.has_value()) return;
  v1::ChatMessage* added = messages->add_messages();
  added->set_role(*role);
  added->set_content(*std::move(text));
}

void ReadMessages(JsonFields* fields, v1::TurnRequest* turn) {
  const Json* messages = fields->Any("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return fields->Fail("messages", "must be a list of at least one message");
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    ReadMessage(fields, (*messages)[i], absl::StrCat("messages[", i, "]"),
                turn->mutable_messages());
  }
}

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
  constexpr char kNoTools[] = "is not taken: the service calls no tools";
  fields->Refuse("tools", kNoTools);
  fields->Refuse("functions", kNoTools);
  const Json* choice = fields->Any("tool_choice");
  if (choice != nullptr && *choice != "none" && *choice != "auto") {
    fields->Fail("tool_choice", kNoTools);
  }
  fields->Refuse("function_call", kNoTools);
  fields->Refuse("audio", "is not taken: the service has texts only");
  fields->Refuse("prediction", "is not taken: tandem drafts by itself");
  fields->Refuse("web_search_options", "is not taken: there is no search");
  const Json* modalities = fields->Any("modalities");
  if (modalities != nullptr && *modalities != Json::array({"text"})) {
    fields->Fail("modalities", "must be [\"text\"]");
  }
  fields->Ignore({"parallel_tool_calls", "reasoning_effort", "verbosity"});
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
  ReadMessages(&fields, &request.turn);
  ReadResponseFormat(text, &fields, request.turn.mutable_options());
  RefuseWhatIsNotThere(&fields);
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace tandem::gateway
