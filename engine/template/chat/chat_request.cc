#include "engine/template/chat/chat_request.h"

#include <algorithm>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/hash.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

bool IsToolName(absl::string_view name) {
  return !name.empty() && name.size() <= kToolNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
         });
}

absl::Status CheckMessage(const ChatMessage& message,
                          const std::string& field) {
  const bool is_assistant = message.role == ChatRole::kAssistant;
  if (!message.tool_calls.empty() && !is_assistant) {
    return InvalidField(absl::StrCat(field, ".tool_calls"),
                        "goes with the assistant only");
  }
  if (!message.reasoning.empty() && !is_assistant) {
    return InvalidField(absl::StrCat(field, ".reasoning"),
                        "goes with the assistant only");
  }
  if (!message.tool_call_id.empty() && message.role != ChatRole::kTool) {
    return InvalidField(absl::StrCat(field, ".tool_call_id"),
                        "goes with a tool only");
  }
  if (message.tool_calls.size() > kToolCallsMax) {
    return InvalidField(
        absl::StrCat(field, ".tool_calls"),
        absl::StrCat("must have at most ", kToolCallsMax, " calls, has ",
                     message.tool_calls.size()));
  }
  for (size_t i = 0; i < message.tool_calls.size(); ++i) {
    if (!message.tool_calls[i].name.empty()) continue;
    return InvalidField(absl::StrCat(field, ".tool_calls[", i, "].name"),
                        "must not be empty");
  }
  return absl::OkStatus();
}

// Calls `take` with each text of messages and tools.
void ForEachText(const ChatRequest& request,
                 absl::FunctionRef<void(absl::string_view text)> take) {
  for (const ChatMessage& message : request.messages) {
    take(message.content);
    take(message.reasoning);
    take(message.name);
    take(message.tool_call_id);
    for (const ChatToolCall& call : message.tool_calls) {
      take(call.id);
      take(call.name);
      take(call.arguments);
    }
  }
  for (const ChatTool& tool : request.tools) {
    take(tool.name);
    take(tool.description);
    take(tool.parameters);
  }
}

}  // namespace

absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages) {
  if (messages.empty()) return InvalidField("messages", "must not be empty");
  if (messages.size() > kChatMessagesMax) {
    return InvalidField("messages",
                        absl::StrCat("must have at most ", kChatMessagesMax,
                                     " messages, has ", messages.size()));
  }
  size_t arguments_bytes = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(
        CheckMessage(messages[i], absl::StrCat("messages[", i, "]")));
    for (const ChatToolCall& call : messages[i].tool_calls) {
      arguments_bytes += call.arguments.size();
    }
  }
  if (arguments_bytes > kToolArgumentsBytesMax) {
    return InvalidField(
        "messages", absl::StrCat("must have calls with arguments of at most ",
                                 kToolArgumentsBytesMax, " bytes in all, has ",
                                 arguments_bytes));
  }
  if (messages.back().role == ChatRole::kAssistant) {
    return InvalidField(
        absl::StrCat("messages[", messages.size() - 1, "].role"),
        "must not be assistant: the last message is what is answered");
  }
  return absl::OkStatus();
}

absl::Status CheckChatTools(absl::Span<const ChatTool> tools) {
  if (tools.size() > kChatToolsMax) {
    return InvalidField("tools",
                        absl::StrCat("must have at most ", kChatToolsMax,
                                     " tools, has ", tools.size()));
  }
  size_t bytes = 0;
  absl::flat_hash_set<absl::string_view> names;
  for (size_t i = 0; i < tools.size(); ++i) {
    const ChatTool& tool = tools[i];
    bytes +=
        tool.name.size() + tool.description.size() + tool.parameters.size();
    const std::string field = absl::StrCat("tools[", i, "].name");
    if (!IsToolName(tool.name)) {
      return InvalidField(field,
                          absl::StrCat("must be 1 to ", kToolNameBytesMax,
                                       " letters, digits, '_', '-' and '.'"));
    }
    if (!names.insert(tool.name).second) {
      return InvalidField(field,
                          absl::StrCat("is '", tool.name, "' a second time"));
    }
  }
  if (bytes <= kChatToolsBytesMax) return absl::OkStatus();
  return InvalidField("tools",
                      absl::StrCat("must have at most ", kChatToolsBytesMax,
                                   " bytes in all, has ", bytes));
}

std::string TemplateDate(const ChatRequest& request) {
  for (const TemplateOption& option : request.options) {
    const auto* date = std::get_if<std::string>(&option.value);
    if (option.name == kDateOption && date != nullptr) return *date;
  }
  return request.today;
}

size_t TextBytes(const ChatRequest& request) {
  size_t bytes = 0;
  ForEachText(request,
              [&bytes](absl::string_view text) { bytes += text.size(); });
  return bytes;
}

std::string HashOfTexts(const ChatRequest& request) {
  Sha256 hash;
  ForEachText(request,
              [&hash](absl::string_view text) { hash.AddString(text); });
  for (const TemplateOption& option : request.options) {
    const auto* text = std::get_if<std::string>(&option.value);
    if (text != nullptr) hash.AddString(*text);
  }
  return hash.HexDigest();
}

}  // namespace tandem
