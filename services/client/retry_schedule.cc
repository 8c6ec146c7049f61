#include "services/client/retry_schedule.h"

#include <algorithm>
#include <random>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/status_conversion.h"

namespace tandem::client {

namespace {

bool HasReason(const grpc::Status& status, absl::string_view reason) {
  const auto detail = GetErrorDetail(FromGrpcStatus(status));
  return detail.has_value() && detail->reason == reason;
}

}  // namespace

bool IsLostConnection(const grpc::Status& status) {
  if (!status.error_details().empty()) return false;
  switch (status.error_code()) {
    // What gRPC makes of a closed connection, GOAWAY, and RST_STREAM by its
    // code.
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::INTERNAL:
    case grpc::StatusCode::UNKNOWN:
      return true;
    default:
      return false;
  }
}

bool WaitsForResume(const grpc::Status& status) {
  if (status.error_details().empty()) return false;
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return true;
  return status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
         HasReason(status, kReasonExhausted);
}

bool WaitsForStore(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE &&
         HasReason(status, kReasonStoreUnavailable);
}

std::optional<absl::Duration> RetrySchedule::NextWait(
    absl::Time now, absl::Duration delay_min) {
  if (!lost_at_.has_value()) lost_at_ = now;
  std::random_device random;
  const absl::Duration wait = std::max(
      delay_min,
      backoff_ * std::uniform_real_distribution<double>(0.5, 1.5)(random));
  if (now - *lost_at_ + wait > budget_) return std::nullopt;
  backoff_ = std::min(backoff_ * 2, absl::Milliseconds(kReconnectBackoffMaxMs));
  ++attempts_;
  return wait;
}

void RetrySchedule::Reset() { *this = RetrySchedule(budget_); }

}  // namespace tandem::client
