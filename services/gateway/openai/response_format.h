// The fields that say which texts a reply may be: response_format of chats and
// completions, text.format of responses. Errors go to the JsonFields. Pure
// functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_

#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"
#include "services/common/openai/ordered_texts.h"
#include "tandem/v1/types.pb.h"

namespace tandem::gateway {

// What both ask an OrderedTexts for. A schema that OpenAI calls strict and one
// that it does not are enforced alike.
inline constexpr absl::string_view kFormatSchema =
    "response_format.json_schema.schema";
inline constexpr absl::string_view kTextFormatSchema = "text.format.schema";

void ReadResponseFormat(OrderedTexts* texts, JsonFields* fields,
                        v1::GenerationOptions* options);
void ReadTextFormat(OrderedTexts* texts, JsonFields* fields,
                    v1::GenerationOptions* options);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_
