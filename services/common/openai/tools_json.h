// Tools that a model may call, in OpenAI's JSON. Errors go to the JsonFields.
// Ranges are the service's to check. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_OPENAI_TOOLS_JSON_H_
#define TANDEM_SERVICES_COMMON_OPENAI_TOOLS_JSON_H_

#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"
#include "services/common/openai/ordered_texts.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Where a function's fields stand: in an object "function" beside its "type"
// (chat/completions), or beside the type itself (responses).
enum class ToolForm { kChat, kResponses };

// What ReadTools asks an OrderedTexts for, by the form.
inline constexpr absl::string_view kToolParameters =
    "tools[].function.parameters";
inline constexpr absl::string_view kFlatToolParameters = "tools[].parameters";

// The fields "tools", "tool_choice" and "parallel_tool_calls". Schemas that
// OpenAI calls strict and those that it does not are enforced alike; {} is a
// function without parameters. Without tools a choice that asks for one is an
// error, and others mean nothing.
void ReadTools(ToolForm form, JsonFields* fields, OrderedTexts* texts,
               v1::TurnRequest* turn);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_OPENAI_TOOLS_JSON_H_
