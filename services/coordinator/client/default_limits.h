// A tenant's limits, where they are its own, else those of the coordinator's
// flags. Owned by the server; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_DEFAULT_LIMITS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_DEFAULT_LIMITS_H_

#include "absl/strings/string_view.h"
#include "services/coordinator/client/tenant_limits.h"

namespace tandem {

class DefaultLimits : public TenantLimitsSource {
 public:
  // `own`: what single tenants have; outlives this, may be null.
  explicit DefaultLimits(const TenantLimits& defaults,
                         const TenantLimitsSource* own = nullptr)
      : defaults_(defaults), own_(own) {}

  TenantLimits LimitsOf(absl::string_view tenant) const override;

 private:
  const TenantLimits defaults_;
  const TenantLimitsSource* const own_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_DEFAULT_LIMITS_H_
