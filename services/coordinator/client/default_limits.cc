#include "services/coordinator/client/default_limits.h"

namespace tandem {
namespace {

template <typename Number>
Number OwnOr(Number own, Number general) {
  return own > 0 ? own : general;
}

}  // namespace

TenantLimits DefaultLimits::LimitsOf(absl::string_view tenant) const {
  if (own_ == nullptr) return defaults_;
  const TenantLimits own = own_->LimitsOf(tenant);
  return {.turns_max = OwnOr(own.turns_max, defaults_.turns_max),
          .sessions_max = OwnOr(own.sessions_max, defaults_.sessions_max),
          .queued_tokens_max =
              OwnOr(own.queued_tokens_max, defaults_.queued_tokens_max),
          .tokens_per_minute =
              OwnOr(own.tokens_per_minute, defaults_.tokens_per_minute),
          .kv_share = OwnOr(own.kv_share, defaults_.kv_share)};
}

}  // namespace tandem
