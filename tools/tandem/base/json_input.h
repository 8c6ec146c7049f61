// JSON that a command is given: objects, and messages of the service in them.
// Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_JSON_INPUT_H_
#define TANDEM_TOOLS_TANDEM_BASE_JSON_INPUT_H_

#include <google/protobuf/message.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/types.h"
#include "tools/tandem/base/output.h"

namespace tandem::cli {

// Objects and lists within each other, at most: as many as a schema may have,
// and those around it.
inline constexpr int kJsonDepthMax = 128;

// Errors, here and below: INVALID_ARGUMENT, which says what is wrong where.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text);
absl::StatusOr<Json> ParseJsonList(absl::string_view text);

// `json` as protobuf's JSON mapping has the message, by the names of the
// .proto; a field that is not known is an error. `what` is the message's name
// for the user.
absl::Status ReadMessage(const Json& json, absl::string_view what,
                         google::protobuf::Message* message);

absl::StatusOr<std::vector<TokenId>> ReadTokenIds(const Json& json,
                                                  absl::string_view what);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_JSON_INPUT_H_
