// Where a process serves its metrics: the flags, and who may reach the address.
// A value; any thread.

#ifndef TANDEM_SERVICES_COMMON_METRICS_FLAGS_H_
#define TANDEM_SERVICES_COMMON_METRICS_FLAGS_H_

#include <string>

#include "engine/base/status.h"

namespace tandem {

struct MetricsFlags {
  std::string listen;  // empty: no metrics
  bool insecure_listen = false;
};

// OK where `flags.listen` is empty or host:port with a loopback host, or with
// any host where insecure_listen is set. Errors: INVALID_ARGUMENT.
absl::Status CheckMetricsFlags(const MetricsFlags& flags);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_METRICS_FLAGS_H_
