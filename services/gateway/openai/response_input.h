// The field "input" of /v1/responses, whose items are messages, calls of tools,
// what tools returned, and what the model thought, as messages of a turn.
// Errors go to the JsonFields. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_INPUT_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_INPUT_H_

#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"
#include "services/common/openai/ordered_texts.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// What ReadInput asks an OrderedTexts for.
inline constexpr absl::string_view kInputArguments = "input[].arguments";

// Calls that follow each other, or a message of the assistant, are one message
// with it. Reasoning is a part of the assistant's message that it begins; where
// none follows it is left out.
void ReadInput(JsonFields* fields, OrderedTexts* texts,
               v1::ChatMessages* messages);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_INPUT_H_
