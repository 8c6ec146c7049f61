// What a chat template makes a prompt of: messages, tools, options. Values, and
// checks of them that need no template; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_REQUEST_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_REQUEST_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/template/chat/template_options.h"

namespace tandem {

enum class ChatRole { kSystem, kUser, kAssistant, kTool };

// A call of a tool.
struct ChatToolCall {
  std::string id = {};  // names the call in the tool's message; may be empty
  std::string name = {};
  std::string arguments = {};  // a JSON object
};

// Texts are UTF-8 and plain, whatever they look like. What is empty is not
// there for a template, but for the content.
struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content = {};
  // Of the assistant: the tools that it called.
  std::vector<ChatToolCall> tool_calls = {};
  // Of a tool: the call that it answers.
  std::string tool_call_id = {};
  // Who wrote it. Of a tool without one: the name in the earlier call of
  // tool_call_id.
  std::string name = {};
  // Of the assistant: what it thought before it answered.
  std::string reasoning = {};
};

// A function that the model may ask for.
struct ChatTool {
  std::string name = {};
  std::string description = {};
  std::string parameters = {};  // JSON Schema of an object; "": none
};

// What a prompt is made of.
struct ChatRequest {
  std::vector<ChatMessage> messages;
  // Of option "template": the name of the template in the file; "default", or
  // without this option, the one without a name.
  std::vector<TemplateOption> options;
  // What strftime_now tells, "YYYY-MM-DD", where option "date" does not say
  // another day. The time of day is always 0:00.
  std::string today;
  // What the model may call.
  std::vector<ChatTool> tools = {};
};

// Limits of a request; more is refused.
inline constexpr size_t kChatMessagesMax = 1024;
inline constexpr size_t kToolCallsMax = 64;  // of a message
// Of all messages. As values, arguments take up to some 50 times their bytes.
inline constexpr size_t kToolArgumentsBytesMax = 1 << 20;
inline constexpr size_t kChatToolsMax = 128;
inline constexpr size_t kToolNameBytesMax = 64;
inline constexpr size_t kChatToolsBytesMax = 256 << 10;  // all texts of all

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for messages that no template
// gets: none or too many, the assistant's as the last one, or a part where it
// does not belong. Fields are "messages", "messages[2].role",
// "messages[1].tool_calls[0].name". Whether arguments are JSON is seen when
// they become values (chat_values.h): it takes as long as they are.
absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages);

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for tools over the limits, a
// name that is not letters, digits, "_", "-" and ".", or one that is there
// twice. Fields are "tools", "tools[2].name". Parameters: as arguments above.
absl::Status CheckChatTools(absl::Span<const ChatTool> tools);

// The day that strftime_now tells for `request`.
std::string TemplateDate(const ChatRequest& request);

// The bytes of all texts of messages and tools.
size_t TextBytes(const ChatRequest& request);

// A hash of all texts that templates may write, in hexadecimal digits: no text
// of the request holds it.
std::string HashOfTexts(const ChatRequest& request);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_REQUEST_H_
