// Messages of the service as JSON. Pure functions; any thread.
//
// protobuf's own mapping writes 64-bit numbers as texts and enums by their full
// names; here numbers are numbers and enums are words.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_PROTO_JSON_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_PROTO_JSON_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/strings/string_view.h"
#include "services/common/openai/json_fields.h"

namespace tandem::gateway {

// Each field under its name in the .proto: also those that are not set, but for
// optional ones and messages, which are left out then. Enums are values without
// their prefix, in lower case: WORKER_STATE_SERVING is "serving". No maps.
OrderedJson ToJson(const google::protobuf::Message& message);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_PROTO_JSON_H_
