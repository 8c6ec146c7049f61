// Messages of a conversation in OpenAI's JSON. Errors go to the JsonFields and
// name the field, as "messages[3].tool_calls[0].function.arguments". Ranges and
// the order of messages are the service's to check. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_OPENAI_CHAT_JSON_H_
#define TANDEM_SERVICES_COMMON_OPENAI_CHAT_JSON_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"
#include "services/common/openai/ordered_texts.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// What ReadMessages asks an OrderedTexts for.
inline constexpr absl::string_view kMessageArguments =
    "messages[].tool_calls[].function.arguments";

// The field "messages": a list of at least one. A call's arguments may be an
// object too, in place of a string of one; "" stands for no arguments.
void ReadMessages(JsonFields* fields, OrderedTexts* texts,
                  v1::ChatMessages* messages);
// The field "template_options": an object of names and values.
void ReadTemplateOptions(JsonFields* fields, v1::TurnRequest* turn);

// All of a conversation: an object that may have "messages",
// "template_options", "split_reply" and the fields of tools (tools_json.h),
// and no others. Errors: INVALID_ARGUMENT with INVALID_OPTIONS.
absl::Status ParseChat(absl::string_view text, v1::TurnRequest* turn);

// Parts that other forms of messages have too.

// The role called `name`; nothing where there is none such. "developer" is the
// later name of "system".
std::optional<v1::ChatRole> RoleOf(const std::string& name);
// A text, or a list of parts of type text, joined; nothing after an error at
// `path`, where it also stands for images and other parts.
std::optional<std::string> ReadContent(JsonFields* fields, const Json& content,
                                       const std::string& path);
// The fields "name" and "arguments" of a call. `texts` has the arguments at
// their path.
void ReadNameAndArguments(JsonFields* fields, OrderedTexts* texts,
                          v1::ToolCall* call);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_OPENAI_CHAT_JSON_H_
