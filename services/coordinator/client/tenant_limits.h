// What one tenant may take of a coordinator. Values; a source of them may be
// asked by any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_TENANT_LIMITS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_TENANT_LIMITS_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace tandem {

// 0 stands for no limit of the tenant's own.
struct TenantLimits {
  int64_t turns_max = 0;          // that run at once
  int64_t sessions_max = 0;       // that are kept
  int64_t queued_tokens_max = 0;  // of prompts whose turn has no token yet
  int64_t tokens_per_minute = 0;  // of prompts and generated
  double kv_share = 0;            // of a worker's KV, 0 to 1
};

class TenantLimitsSource {
 public:
  virtual ~TenantLimitsSource() = default;
  virtual TenantLimits LimitsOf(absl::string_view tenant) const = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_TENANT_LIMITS_H_
