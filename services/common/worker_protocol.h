// Limits and names that both ends of the worker protocol keep to
// (proto/tandem/v1/worker.proto).

#ifndef TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_
#define TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_

#include <cstddef>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// Requests of one stream, `open` among them, that are not answered: a
// coordinator sends no more, and a worker reads no more.
inline constexpr int kStreamRequestsMax = 4;
// Bytes of OpenSequence.session_id and of OpenSequence.tenant.
inline constexpr size_t kSessionIdBytesMax = 256;
inline constexpr size_t kTenantBytesMax = 256;
// The largest OpenSequence.queue_timeout_ms.
inline constexpr int kQueueTimeoutMsMax = 3600000;

inline constexpr size_t kModelIdBytesMax = 256;

// OK where `id` may name a model: 1 to kModelIdBytesMax bytes of UTF-8 without
// control characters and line ends, so that it can stand in a log, a metric and
// an error. Errors: INVALID_ARGUMENT.
absl::Status CheckModelId(absl::string_view id);

// Names of the health service beside "": the process has loaded what it needs;
// it takes new streams or turns.
inline constexpr char kHealthStarted[] = "tandem.started";
inline constexpr char kHealthReady[] = "tandem.ready";
// Whether a health name is one that says nothing of models.
inline bool IsProbeName(absl::string_view name) {
  return name.empty() || name == kHealthStarted || name == kHealthReady;
}

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_
