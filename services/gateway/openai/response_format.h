// The fields that say which texts a reply may be: response_format of chats and
// completions, text.format of responses. Errors go to the JsonFields. Pure
// functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/gateway/openai/json_fields.h"
#include "tandem/v1/types.pb.h"

namespace tandem::gateway {

// In both `text` is the whole request as it came. A schema that OpenAI calls
// strict and one that it does not are enforced alike.
void ReadResponseFormat(absl::string_view text, JsonFields* fields,
                        v1::GenerationOptions* options);
void ReadTextFormat(absl::string_view text, JsonFields* fields,
                    v1::GenerationOptions* options);

// The object at `path`, names of nested objects, in the JSON object `text`: on
// one line, its names in the order in which they came. "" where there is none.
std::string ObjectText(absl::string_view text,
                       const std::vector<std::string>& path);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_FORMAT_H_
