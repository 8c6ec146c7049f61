#include "services/coordinator/client/fair_bound.h"

#include <algorithm>

namespace tandem {
namespace {

// The part of the bound that is kept for tenants below their share, rounded up.
constexpr int64_t kKeptPart = 4;
// Looks for tenants to forget are this far apart: a look walks over all.
constexpr MonotonicDuration kForgetEvery = std::chrono::seconds(5);

}  // namespace

bool FairBound::Take(const std::string& tenant, int64_t count,
                     MonotonicTime now) {
  if (!HasRoom(tenant, count, now)) return false;
  Add(tenant, count);
  return true;
}

bool FairBound::HasRoom(const std::string& tenant, int64_t count,
                        MonotonicTime now) {
  Forget(now);
  Tenant& asks = tenants_[tenant];
  asks.asked = now;
  if (used_ + count > max_) return false;
  const int64_t tenants = static_cast<int64_t>(tenants_.size());
  // One at least: else nobody could have what is kept where there are more
  // tenants than places.
  const int64_t share = std::max<int64_t>(max_ / tenants, 1);
  const int64_t kept = (max_ + kKeptPart - 1) / kKeptPart;
  return tenants == 1 || asks.used + count <= share ||
         used_ + count <= max_ - kept;
}

void FairBound::Add(const std::string& tenant, int64_t count) {
  tenants_[tenant].used += count;
  used_ += count;
}

int64_t FairBound::UsedBy(const std::string& tenant) const {
  const auto found = tenants_.find(tenant);
  return found == tenants_.end() ? 0 : found->second.used;
}

int64_t FairBound::TenantsAsking(MonotonicTime now) {
  Forget(now);
  return std::max<int64_t>(static_cast<int64_t>(tenants_.size()), 1);
}

void FairBound::Forget(MonotonicTime now) {
  if (now - forgot_at_ < kForgetEvery) return;
  forgot_at_ = now;
  std::erase_if(tenants_, [now](const auto& entry) {
    return entry.second.used == 0 && now - entry.second.asked >= kAskedLately;
  });
}

}  // namespace tandem
