#include "services/coordinator/client/turn_quotas.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr double kSecondsPerMinute = 60;
// A tenant is told to wait for its account no longer than a day.
constexpr double kAccountWaitSecondsMax = 24 * 60 * 60;
// Where the refuser knows no better.
constexpr MonotonicDuration kRetryDelay = std::chrono::seconds(1);
// An account is full again after a minute, unless it was overdrawn.
constexpr MonotonicDuration kForgetAfter = std::chrono::minutes(2);

double Seconds(MonotonicDuration duration) {
  return std::chrono::duration<double>(duration).count();
}

int64_t Milliseconds(MonotonicDuration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration)
      .count();
}

}  // namespace

absl::Status OverQuota(const std::string& tenant, const std::string& limit,
                       std::optional<MonotonicDuration> retry_delay) {
  ErrorDetail detail = {
      .reason = kReasonExhausted,
      .violations = {{.field = absl::StrCat("tenant:", tenant),
                      .description = absl::StrCat("at most ", limit)}}};
  if (retry_delay.has_value()) {
    detail.retry_delay_ms = Milliseconds(*retry_delay);
  }
  return MakeError(absl::StatusCode::kResourceExhausted, detail,
                   absl::StrCat("over quota: at most ", limit, "; try later"));
}

TurnAdmission::TurnAdmission(TurnQuotas* quotas, const AdmissionRequest& turn)
    : quotas_(quotas),
      tenant_(turn.tenant),
      queued_tokens_(turn.prompt_tokens),
      charged_tokens_(turn.charged_tokens),
      generated_(turn.generated_before) {}

TurnAdmission::TurnAdmission(TurnAdmission&& other) noexcept
    : quotas_(std::exchange(other.quotas_, nullptr)),
      tenant_(std::move(other.tenant_)),
      queued_tokens_(other.queued_tokens_),
      charged_tokens_(other.charged_tokens_),
      generated_(other.generated_) {}

TurnAdmission& TurnAdmission::operator=(TurnAdmission&& other) noexcept {
  std::swap(quotas_, other.quotas_);
  std::swap(tenant_, other.tenant_);
  std::swap(queued_tokens_, other.queued_tokens_);
  std::swap(charged_tokens_, other.charged_tokens_);
  std::swap(generated_, other.generated_);
  return *this;
}

TurnAdmission::~TurnAdmission() {
  if (quotas_ == nullptr) return;
  TurnQuotas::Tenant* const tenant = quotas_->Find(tenant_);
  --tenant->turns;
  tenant->queued_tokens -= queued_tokens_;
  tenant->account += static_cast<double>(charged_tokens_);
  quotas_->places_.Add(tenant_, -1);
  --quotas_->turns_;
}

void TurnAdmission::OnTokens(int64_t generated) {
  if (generated <= generated_) return;
  TurnQuotas::Tenant* const tenant = quotas_->Find(tenant_);
  tenant->account -= static_cast<double>(generated - generated_);
  generated_ = generated;
  if (queued_tokens_ == 0) return;
  // The first token: the turn waits no more.
  tenant->queued_tokens -= std::exchange(queued_tokens_, 0);
  const MonotonicTime now = quotas_->loop_->Now();
  tenant->returns.OnServed(now);
  quotas_->served_.OnServed(now);
}

TurnQuotas::TurnQuotas(EventLoop* loop, int64_t turns_max,
                       const TenantLimitsSource* limits, uint32_t seed)
    : loop_(loop),
      turns_max_(turns_max),
      limits_(limits),
      random_(seed),
      places_(turns_max),
      served_(static_cast<uint32_t>(random_())) {}

TurnQuotas::Tenant* TurnQuotas::Find(const std::string& name) {
  const auto found = tenants_.find(name);
  if (found != tenants_.end()) return &found->second;
  Tenant* const tenant =
      &tenants_.emplace(name, static_cast<uint32_t>(random_())).first->second;
  tenant->account =
      static_cast<double>(limits_->LimitsOf(name).tokens_per_minute);
  tenant->filled_at = loop_->Now();
  return tenant;
}

// Without a limit nothing is owed, also where one comes later.
void TurnQuotas::Fill(int64_t tokens_per_minute, Tenant* tenant) const {
  const MonotonicTime now = loop_->Now();
  const double limit = static_cast<double>(tokens_per_minute);
  const double filled =
      limit * Seconds(now - tenant->filled_at) / kSecondsPerMinute;
  tenant->account = limit == 0 ? 0 : std::min(limit, tenant->account + filled);
  tenant->filled_at = now;
}

absl::Status TurnQuotas::CheckOwn(const AdmissionRequest& turn,
                                  const TenantLimits& limits, Tenant* tenant) {
  const auto refuse = [&](const std::string& limit, MonotonicDuration least) {
    return OverQuota(turn.tenant, limit,
                     tenant->returns.Next(least, loop_->Now()));
  };
  if (limits.turns_max > 0 && tenant->turns >= limits.turns_max) {
    return refuse(absl::StrCat(limits.turns_max, " turns at once"),
                  kRetryDelay);
  }
  // A prompt that is alone may be longer than the limit.
  if (limits.queued_tokens_max > 0 && tenant->queued_tokens > 0 &&
      tenant->queued_tokens + turn.prompt_tokens > limits.queued_tokens_max) {
    return refuse(
        absl::StrCat(limits.queued_tokens_max, " tokens of prompts that wait"),
        kRetryDelay);
  }
  Fill(limits.tokens_per_minute, tenant);
  if (limits.tokens_per_minute > 0 && tenant->account <= 0) {
    const double wait_s =
        std::min(kAccountWaitSecondsMax,
                 (1 - tenant->account) * kSecondsPerMinute /
                     static_cast<double>(limits.tokens_per_minute));
    return refuse(absl::StrCat(limits.tokens_per_minute, " tokens a minute"),
                  std::chrono::duration_cast<MonotonicDuration>(
                      std::chrono::duration<double>(wait_s)));
  }
  return absl::OkStatus();
}

absl::StatusOr<TurnAdmission> TurnQuotas::Admit(const AdmissionRequest& turn) {
  Forget();
  Tenant* const tenant = Find(turn.tenant);
  TANDEM_RETURN_IF_ERROR(
      CheckOwn(turn, limits_->LimitsOf(turn.tenant), tenant));
  if (!places_.Take(turn.tenant, 1, loop_->Now())) {
    return Exhausted(absl::StrCat("the server runs ", turns_max_,
                                  " turns at most, of all clients; try later"));
  }
  ++turns_;
  ++tenant->turns;
  tenant->queued_tokens += turn.prompt_tokens;
  tenant->account -= static_cast<double>(turn.charged_tokens);
  return TurnAdmission(this, turn);
}

absl::Status TurnQuotas::WithReturnTime(const std::string& tenant,
                                        const absl::Status& status) {
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!absl::IsResourceExhausted(status) || !detail.has_value() ||
      (!detail->violations.empty() && detail->retry_delay_ms.has_value())) {
    return status;
  }
  const MonotonicDuration least =
      detail->retry_delay_ms.has_value()
          ? MonotonicDuration(
                std::chrono::milliseconds(*detail->retry_delay_ms))
          : kRetryDelay;
  const MonotonicTime now = loop_->Now();
  detail->retry_delay_ms = Milliseconds(Find(tenant)->returns.NextEvery(
      {.least = least,
       .interval = served_.Interval(now) * places_.TenantsAsking(now)},
      now));
  return MakeError(status.code(), *detail, status.message());
}

void TurnQuotas::Forget() {
  const MonotonicTime now = loop_->Now();
  if (now - forgot_at_ < kForgetAfter) return;
  forgot_at_ = now;
  for (auto entry = tenants_.begin(); entry != tenants_.end();) {
    auto& [name, tenant] = *entry;
    const bool is_old =
        tenant.turns == 0 && now - tenant.filled_at >= kForgetAfter;
    const int64_t full = limits_->LimitsOf(name).tokens_per_minute;
    if (is_old) Fill(full, &tenant);
    const bool is_full = tenant.account >= static_cast<double>(full);
    entry = is_old && is_full ? tenants_.erase(entry) : std::next(entry);
  }
}

}  // namespace tandem
