// The limits that the key file gives to tenants. Owned by the server; any
// thread.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_KEY_FILE_LIMITS_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_KEY_FILE_LIMITS_H_

#include "services/access/caller.h"
#include "services/coordinator/client/tenant_limits.h"

namespace tandem {

class KeyFileLimits final : public TenantLimitsSource {
 public:
  // `gate` outlives this.
  explicit KeyFileLimits(const CallerGate* gate) : gate_(gate) {}

  // `tenant` is a Caller's. A tenant that is not of the key file has none.
  TenantLimits LimitsOf(absl::string_view tenant) const override;

 private:
  const CallerGate* const gate_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_KEY_FILE_LIMITS_H_
