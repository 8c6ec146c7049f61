#include "services/coordinator/turn/worker_failure.h"

#include <optional>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {

bool IsFatal(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kInvalidArgument) return true;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value()) return false;
  return detail->reason == kReasonNoToken ||
         detail->reason == kReasonNumericCorruption ||
         detail->reason == kReasonContextExceeded;
}

bool IsDeath(const absl::Status& status) {
  return absl::IsUnavailable(status) && !GetErrorDetail(status).has_value();
}

}  // namespace tandem
