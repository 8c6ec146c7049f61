#include "services/coordinator/server/key_file_limits.h"

#include "absl/strings/strip.h"

namespace tandem {

TenantLimits KeyFileLimits::LimitsOf(absl::string_view tenant) const {
  if (gate_->keys() == nullptr ||
      !absl::ConsumePrefix(&tenant, kKeyTenantPrefix)) {
    return {};
  }
  const KeyLimits limits = gate_->keys()->LimitsOf(tenant);
  return {.turns_max = limits.turns_max,
          .sessions_max = limits.sessions_max,
          .queued_tokens_max = limits.queued_tokens_max,
          .tokens_per_minute = limits.tokens_per_minute,
          .kv_share = limits.kv_share};
}

}  // namespace tandem
