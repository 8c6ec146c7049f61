// What a client's streams and its calls of one answer have in common: the
// server's drain reaches them, and they end in the same words.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_CALL_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_CALL_H_

#include <optional>
#include <string>

#include "engine/base/status.h"

namespace tandem {

// Shared by its gRPC reactor and the closures that it posted. Any thread.
class ClientCall {
 public:
  virtual ~ClientCall() = default;
  // The server is about to stop: what is idle ends, work may end first.
  virtual void PostDrain() = 0;
  // The time for that is over.
  virtual void PostStop() = 0;
};

inline absl::Status ShuttingDown() {
  return Draining("the server is shutting down; try another, or later");
}

// The reason of an error, as the client gets it.
inline std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason
                            : absl::StatusCodeToString(status.code());
}

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_CALL_H_
