// Messages and tools as values of templates, in the form that transformers
// gives them. Pure functions; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_VALUES_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_VALUES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/template/chat/chat_request.h"
#include "engine/template/template_value.h"

namespace tandem {

// Where templates differ in what they take calls of tools in.
struct ChatForm {
  // Arguments are the JSON text instead of a map.
  bool has_text_arguments = false;
  // The empty content of a message with calls is none instead of "". Such a
  // template leaves calls out where there is a content.
  bool has_none_content = false;
};

// Each message as a map with "role", "content" and what else is set:
// "reasoning_content" (also as "reasoning" and "thinking"), "tool_calls" (maps
// with "id", "type" and "function", which has "name" and "arguments"),
// "tool_call_id", "name". `messages` have passed CheckChatMessages. Errors:
// INVALID_OPTIONS, "messages[1].tool_calls[0].arguments" that are no JSON
// object, "messages[1].content" that the form has no place for.
absl::StatusOr<std::vector<TemplateValue>> MessageValues(
    absl::Span<const ChatMessage> messages, const ChatForm& form);

// A list of maps with "type" and "function", which has "name", "description"
// and "parameters"; none where there are no tools. `tools` have passed
// CheckChatTools. Errors: INVALID_OPTIONS, "tools[2].parameters" that are no
// JSON object.
absl::StatusOr<TemplateValue> ToolsValue(absl::Span<const ChatTool> tools);

// The value of an option; texts are contents.
TemplateValue OptionValue(const TemplateOption& option);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_VALUES_H_
