// JSON texts of a request as values of templates. Pure functions; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_JSON_CONTENT_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_JSON_CONTENT_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/template_value.h"

namespace tandem {

// Lists and objects in one another; with those that a message puts around
// them, fewer than values of templates may have.
inline constexpr int kJsonContentDepthMax = 64;

// The JSON object `text` as Python reads it: keys in their order, of equal ones
// the last value. Texts and keys are marked as content. Integers beyond 64 bits
// become floats. Errors: INVALID_ARGUMENT that says what is wrong and at which
// byte, from 1, without a field.
absl::StatusOr<TemplateValue> ParseJsonContent(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_JSON_CONTENT_H_
