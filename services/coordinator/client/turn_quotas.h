// Who may run a turn now: places of the server, which tenants share by
// FairBound, and each tenant's own limits (tenant_limits.h). Owned by the
// server; the event loop's, but for turns().
//
// A tenant's tokens a minute are an account that fills with that rate up to one
// minute's tokens. A turn is let in while something is in it, and takes its
// prompt at once and its tokens as they come, also below 0. So a long turn is
// not cut, and the next one waits for it. A turn that no worker took gives its
// prompt back.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_QUOTAS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_QUOTAS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "engine/base/status.h"
#include "services/coordinator/client/fair_bound.h"
#include "services/coordinator/client/return_times.h"
#include "services/coordinator/client/tenant_limits.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

class TurnQuotas;

// RESOURCE_EXHAUSTED with EXHAUSTED: `tenant` has as much as it may have, which
// `limit` says ("10 turns at once"). Its violation names the tenant.
// Without `retry_delay` the refuser does not know when to come back.
absl::Status OverQuota(const std::string& tenant, const std::string& limit,
                       std::optional<MonotonicDuration> retry_delay);

// What asks to be let in.
struct AdmissionRequest {
  std::string tenant;
  // All tokens that it begins with; and those of them that are to be taken from
  // the tenant's account, 0 for a turn that goes on.
  int64_t prompt_tokens = 0;
  int64_t charged_tokens = 0;
  int64_t generated_before = 0;
};

// A turn that was let in, until this is destroyed. The event loop's; the quotas
// outlive it.
class TurnAdmission {
 public:
  TurnAdmission(TurnQuotas* quotas, const AdmissionRequest& turn);
  TurnAdmission(TurnAdmission&& other) noexcept;
  TurnAdmission& operator=(TurnAdmission&& other) noexcept;
  ~TurnAdmission();

  // A worker has the turn: its prompt is paid for.
  void OnTaken() { charged_tokens_ = 0; }
  // The turn has generated this many tokens in all.
  void OnTokens(int64_t generated);

 private:
  TurnQuotas* quotas_;  // null: moved away
  std::string tenant_;
  int64_t queued_tokens_;
  int64_t charged_tokens_;  // given back where no worker takes the turn
  int64_t generated_;
};

class TurnQuotas {
 public:
  // `limits` outlives the quotas. `seed`: of the times to come back.
  TurnQuotas(EventLoop* loop, int64_t turns_max,
             const TenantLimitsSource* limits, uint32_t seed);

  TurnQuotas(const TurnQuotas&) = delete;
  TurnQuotas& operator=(const TurnQuotas&) = delete;

  // Turns that run; any thread.
  int64_t turns() const { return turns_.load(); }
  int64_t turns_max() const { return turns_max_; }

  TenantLimits LimitsOf(const std::string& tenant) const {
    return limits_->LimitsOf(tenant);
  }

  // RESOURCE_EXHAUSTED with EXHAUSTED where the turn must wait: the tenant's
  // limit is named, or the server's places are used up.
  absl::StatusOr<TurnAdmission> Admit(const AdmissionRequest& turn);
  // `status` with a time for the tenant to come back, where it is a
  // RESOURCE_EXHAUSTED, other than a quota's that has a time already. The
  // tenants that ask have a line each, and an equal part of the rate: one that
  // is refused at any rate keeps no other waiting.
  absl::Status WithReturnTime(const std::string& tenant,
                              const absl::Status& status);

 private:
  friend class TurnAdmission;

  struct Tenant {
    explicit Tenant(uint32_t seed) : returns(seed) {}

    int64_t turns = 0;
    int64_t queued_tokens = 0;
    double account = 0;  // tokens
    MonotonicTime filled_at = {};
    ReturnTimes returns;
  };

  Tenant* Find(const std::string& name);
  // Fills the tenant's account up to now.
  void Fill(int64_t tokens_per_minute, Tenant* tenant) const;
  // OK, or the limit of its own that the tenant has reached.
  absl::Status CheckOwn(const AdmissionRequest& turn,
                        const TenantLimits& limits, Tenant* tenant);
  void Forget();

  EventLoop* const loop_;
  const int64_t turns_max_;
  const TenantLimitsSource* const limits_;
  std::minstd_rand random_;
  FairBound places_;
  std::atomic<int64_t> turns_{0};
  ReturnTimes served_;  // of all tenants
  std::map<std::string, Tenant> tenants_;
  MonotonicTime forgot_at_ = {};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_QUOTAS_H_
