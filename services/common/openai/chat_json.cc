#include "services/common/openai/chat_json.h"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/openai/tools_json.h"

namespace tandem {
namespace {

constexpr char kContentForms[] = "must be a string or a list of parts";

// OpenAI's clients have arguments as strings; others keep the objects.
bool IsTextOfObject(const std::string& text) {
  return absl::StartsWith(absl::StripLeadingAsciiWhitespace(text), "{") &&
         Json::accept(text);
}

void ReadCall(JsonFields* fields, OrderedTexts* texts, v1::ToolCall* call) {
  call->set_id(fields->Text("id").value_or(""));
  if (fields->Text("type").value_or("function") != "function") {
    fields->Fail("type", "must be function");
  }
  // Of clients that keep the pieces of a stream.
  fields->Ignore({"index"});
  const Json* function = fields->Any("function");
  if (function == nullptr) return fields->Fail("function", "must be set");
  JsonFields own(*function, fields->PathOf("function"));
  ReadNameAndArguments(&own, texts, call);
  fields->Fail(own.Finish());
}

void ReadCalls(JsonFields* fields, OrderedTexts* texts,
               v1::ChatMessage* message) {
  const Json* calls = fields->Any("tool_calls");
  if (calls == nullptr) return;
  if (!calls->is_array()) return fields->Fail("tool_calls", "must be a list");
  for (size_t i = 0; i < calls->size(); ++i) {
    JsonFields own((*calls)[i],
                   fields->PathOf(absl::StrCat("tool_calls[", i, "]")));
    ReadCall(&own, texts, message->add_tool_calls());
    fields->Fail(own.Finish());
  }
}

void ReadRole(JsonFields* fields, v1::ChatMessage* message) {
  const std::string name = fields->Text("role").value_or("");
  if (name == "function") {
    return fields->Fail("role",
                        "must be tool for what a function returned: function "
                        "is the older form");
  }
  if (const std::optional<v1::ChatRole> role = RoleOf(name)) {
    return message->set_role(*role);
  }
  fields->Fail("role", "must be system, developer, user, assistant or tool");
}

// What messages of one role alone have.
void ReadOwnOfRole(JsonFields* fields, OrderedTexts* texts,
                   v1::ChatMessage* message) {
  if (message->role() == v1::CHAT_ROLE_ASSISTANT) {
    ReadCalls(fields, texts, message);
    const std::optional<std::string> later = fields->Text("reasoning");
    message->set_reasoning(
        fields->Text("reasoning_content").value_or(later.value_or("")));
  } else {
    for (const char* name : {"tool_calls", "reasoning_content", "reasoning"}) {
      fields->Refuse(name, "is for the role assistant only");
    }
  }
  if (message->role() == v1::CHAT_ROLE_TOOL) {
    message->set_tool_call_id(fields->Text("tool_call_id").value_or(""));
    message->set_name(fields->Text("name").value_or(""));
  } else {
    fields->Refuse("tool_call_id", "is for the role tool only");
    fields->Ignore({"name"});
  }
}

void ReadMessage(JsonFields* fields, OrderedTexts* texts,
                 v1::ChatMessage* message) {
  ReadRole(fields, message);
  ReadOwnOfRole(fields, texts, message);
  fields->Refuse("function_call",
                 "is not taken: it is the older form of tool_calls");
  fields->Refuse("audio", "is not taken: the service has texts only");
  fields->Ignore({"refusal", "annotations"});
  if (const Json* content = fields->Any("content")) {
    std::optional<std::string> text =
        ReadContent(fields, *content, fields->PathOf("content"));
    message->set_content(std::move(text).value_or(""));
  } else if (message->tool_calls().empty() && message->reasoning().empty()) {
    // OpenAI leaves it out in replies that only call tools.
    fields->Fail("content", kContentForms);
  }
}

}  // namespace

void ReadMessages(JsonFields* fields, OrderedTexts* texts,
                  v1::ChatMessages* messages) {
  const Json* list = fields->Any("messages");
  if (list == nullptr || !list->is_array() || list->empty()) {
    return fields->Fail("messages", "must be a list of at least one message");
  }
  for (size_t i = 0; i < list->size(); ++i) {
    JsonFields own((*list)[i],
                   fields->PathOf(absl::StrCat("messages[", i, "]")));
    ReadMessage(&own, texts, messages->add_messages());
    fields->Fail(own.Finish());
  }
}

void ReadTemplateOptions(JsonFields* fields, v1::TurnRequest* turn) {
  const Json* options = fields->Any("template_options");
  if (options == nullptr) return;
  if (!options->is_object()) {
    return fields->Fail("template_options", "must be an object");
  }
  for (const auto& item : options->items()) {
    v1::TemplateOption& option =
        (*turn->mutable_template_options())[item.key()];
    const Json& value = item.value();
    if (value.is_boolean()) {
      option.set_bool_value(value.get<bool>());
    } else if (value.is_number_integer()) {
      option.set_int_value(value.get<int64_t>());
    } else if (value.is_number()) {
      option.set_number_value(value.get<double>());
    } else if (value.is_string()) {
      option.set_text_value(value.get<std::string>());
    } else {
      fields->Fail("template_options",
                   "must have values that are true, false, numbers or strings");
    }
  }
}

absl::Status ParseChat(absl::string_view text, v1::TurnRequest* turn) {
  TANDEM_ASSIGN_OR_RETURN(const Json object, ParseJsonObject(text));
  JsonFields fields(object);
  OrderedTexts texts(text, {kMessageArguments, kToolParameters});
  if (fields.Any("messages") != nullptr) {
    ReadMessages(&fields, &texts, turn->mutable_messages());
  }
  ReadTemplateOptions(&fields, turn);
  ReadTools(ToolForm::kChat, &fields, &texts, turn);
  turn->set_split_reply(fields.Bool("split_reply").value_or(false));
  return fields.Finish();
}

std::optional<v1::ChatRole> RoleOf(const std::string& name) {
  if (name == "system" || name == "developer") return v1::CHAT_ROLE_SYSTEM;
  if (name == "user") return v1::CHAT_ROLE_USER;
  if (name == "assistant") return v1::CHAT_ROLE_ASSISTANT;
  if (name == "tool") return v1::CHAT_ROLE_TOOL;
  return std::nullopt;
}

std::optional<std::string> ReadContent(JsonFields* fields, const Json& content,
                                       const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fields->Fail(InvalidField(path, kContentForms));
    return std::nullopt;
  }
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const Json& part = content[i];
    const std::string at = absl::StrCat(path, "[", i, "]");
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string()) {
      fields->Fail(InvalidField(at, "must have a type"));
      return std::nullopt;
    }
    const std::string& name = type->get_ref<const std::string&>();
    const auto found = part.find("text");
    if (name != "text" && name != "input_text" && name != "output_text") {
      fields->Fail(
          InvalidField(absl::StrCat(at, ".type"),
                       "must be text: images, audio and files are not taken"));
      return std::nullopt;
    }
    if (found == part.end() || !found->is_string()) {
      fields->Fail(InvalidField(absl::StrCat(at, ".text"), "must be a string"));
      return std::nullopt;
    }
    text += found->get_ref<const std::string&>();
  }
  return text;
}

void ReadNameAndArguments(JsonFields* fields, OrderedTexts* texts,
                          v1::ToolCall* call) {
  call->set_name(fields->RequiredText("name"));
  const Json* arguments = fields->Any("arguments");
  if (arguments != nullptr && arguments->is_object()) {
    call->set_arguments(texts->At(fields->PathOf("arguments")));
  } else if (arguments != nullptr && arguments->is_string()) {
    const std::string& text = arguments->get_ref<const std::string&>();
    call->set_arguments(text.empty() ? "{}" : text);
  }
  if (!IsTextOfObject(call->arguments())) {
    fields->Fail("arguments", "must be a JSON object, or a string of one");
  }
}

}  // namespace tandem
