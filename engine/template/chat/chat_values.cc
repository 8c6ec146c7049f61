#include "engine/template/chat/chat_values.h"

#include <cstddef>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/template/chat/json_content.h"

namespace tandem {
namespace {

using Entries = std::vector<std::pair<std::string, TemplateValue>>;

// In the order of ChatRole.
constexpr absl::string_view kRoles[] = {"system", "user", "assistant", "tool"};

// What a tool without parameters has.
constexpr char kNoParameters[] = R"({"type": "object", "properties": {}})";

// A text that is not there where it is empty.
void AddText(absl::string_view name, const std::string& text,
             Entries* entries) {
  if (text.empty()) return;
  entries->emplace_back(name, TemplateValue::Content(text));
}

absl::StatusOr<TemplateValue> ParseField(absl::string_view text,
                                         absl::string_view field) {
  absl::StatusOr<TemplateValue> value = ParseJsonContent(text);
  if (value.ok()) return value;
  return InvalidField(field, value.status().message());
}

// {"type": "function", "function": `function`}.
void AddFunction(Entries function, Entries* entries) {
  entries->emplace_back("type", TemplateValue::Text("function"));
  entries->emplace_back("function", TemplateValue::Map(std::move(function)));
}

// What of a message stands elsewhere.
struct MessagePlace {
  const ChatForm& form;
  std::string field;
  std::string name;  // who wrote it
};

absl::StatusOr<TemplateValue> CallsValue(const ChatMessage& message,
                                         const MessagePlace& place) {
  std::vector<TemplateValue> values;
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    const ChatToolCall& call = message.tool_calls[i];
    TANDEM_ASSIGN_OR_RETURN(
        TemplateValue arguments,
        ParseField(call.arguments, absl::StrCat(place.field, ".tool_calls[", i,
                                                "].arguments")));
    if (place.form.has_text_arguments) {
      arguments = TemplateValue::Content(call.arguments);
    }
    Entries entries;
    AddText("id", call.id, &entries);
    AddFunction({{"name", TemplateValue::Content(call.name)},
                 {"arguments", std::move(arguments)}},
                &entries);
    values.push_back(TemplateValue::Map(std::move(entries)));
  }
  return TemplateValue::List(std::move(values));
}

absl::StatusOr<TemplateValue> MessageValue(const ChatMessage& message,
                                           const MessagePlace& place) {
  const bool has_calls = !message.tool_calls.empty();
  TemplateValue content = TemplateValue::Content(message.content);
  if (has_calls && place.form.has_none_content) {
    if (!message.content.empty()) {
      return InvalidField(absl::StrCat(place.field, ".content"),
                          "must be empty: this model's chat template takes a "
                          "text or calls of tools in a message, not both");
    }
    content = TemplateValue::None();
  }
  const auto role = static_cast<size_t>(message.role);
  Entries entries = {{"role", TemplateValue::Text(kRoles[role])},
                     {"content", std::move(content)}};
  for (const char* const key : {"reasoning_content", "reasoning", "thinking"}) {
    AddText(key, message.reasoning, &entries);
  }
  if (has_calls) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue calls, CallsValue(message, place));
    entries.emplace_back("tool_calls", std::move(calls));
  }
  AddText("tool_call_id", message.tool_call_id, &entries);
  AddText("name", place.name, &entries);
  return TemplateValue::Map(std::move(entries));
}

}  // namespace

absl::StatusOr<std::vector<TemplateValue>> MessageValues(
    absl::Span<const ChatMessage> messages, const ChatForm& form) {
  std::vector<TemplateValue> values;
  values.reserve(messages.size());
  absl::flat_hash_map<std::string, std::string> called;  // names by ids
  for (const ChatMessage& message : messages) {
    MessagePlace place = {
        .form = form,
        .field = absl::StrCat("messages[", values.size(), "]"),
        .name = message.name};
    const auto call = called.find(message.tool_call_id);
    if (place.name.empty() && call != called.end()) place.name = call->second;
    for (const ChatToolCall& made : message.tool_calls) {
      if (!made.id.empty()) called.insert_or_assign(made.id, made.name);
    }
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value, MessageValue(message, place));
    values.push_back(std::move(value));
  }
  return values;
}

absl::StatusOr<TemplateValue> ToolsValue(absl::Span<const ChatTool> tools) {
  if (tools.empty()) return TemplateValue::None();
  std::vector<TemplateValue> values;
  for (const ChatTool& tool : tools) {
    TANDEM_ASSIGN_OR_RETURN(
        TemplateValue parameters,
        ParseField(tool.parameters.empty() ? kNoParameters : tool.parameters,
                   absl::StrCat("tools[", values.size(), "].parameters")));
    Entries entries;
    AddFunction({{"name", TemplateValue::Content(tool.name)},
                 {"description", TemplateValue::Content(tool.description)},
                 {"parameters", std::move(parameters)}},
                &entries);
    values.push_back(TemplateValue::Map(std::move(entries)));
  }
  return TemplateValue::List(std::move(values));
}

TemplateValue OptionValue(const TemplateOption& option) {
  const auto* text = std::get_if<std::string>(&option.value);
  if (text != nullptr) return TemplateValue::Content(*text);
  if (const auto* number = std::get_if<double>(&option.value)) {
    return TemplateValue::Float(*number);
  }
  const auto* flag = std::get_if<bool>(&option.value);
  return flag != nullptr
             ? TemplateValue::Bool(*flag)
             : TemplateValue::Integer(std::get<int64_t>(option.value));
}

}  // namespace tandem
