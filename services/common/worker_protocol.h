// Limits and names that both ends of the worker protocol keep to
// (proto/tandem/v1/worker.proto).

#ifndef TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_
#define TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_

#include <cstddef>

namespace tandem {

// Requests of one stream, `open` among them, that are not answered: a
// coordinator sends no more, and a worker reads no more.
inline constexpr int kStreamRequestsMax = 4;
// Bytes of OpenSequence.session_id and of OpenSequence.tenant.
inline constexpr size_t kSessionIdBytesMax = 256;
inline constexpr size_t kTenantBytesMax = 256;
// The largest OpenSequence.queue_timeout_ms.
inline constexpr int kQueueTimeoutMsMax = 3600000;

// Names of the health service beside "": the process has loaded what it needs;
// it takes new streams or turns.
inline constexpr char kHealthStarted[] = "tandem.started";
inline constexpr char kHealthReady[] = "tandem.ready";

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_WORKER_PROTOCOL_H_
