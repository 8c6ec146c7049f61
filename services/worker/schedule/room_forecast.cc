#include "services/worker/schedule/room_forecast.h"

#include <algorithm>
#include <cmath>

namespace tandem {

void RoomForecast::OnFreed(absl::Time now, int64_t amount) {
  freed_ = DecayedTo(now) + static_cast<double>(amount);
  updated_ = std::max(updated_, now);
}

absl::Duration RoomForecast::DelayFor(absl::Time now, int64_t amount) const {
  if (amount <= 0) return kForecastMin;
  const double freed = DecayedTo(now);
  if (freed <= 0) return kForecastUnknown;
  // Of a steady rate the window holds rate x kForecastWindow, less the part
  // that lies before the beginning.
  const double age = absl::FDivDuration(now - began_, kForecastWindow);
  const double windows = std::max(1 - std::exp(-age), 1e-6);
  const absl::Duration delay =
      kForecastWindow * (windows * static_cast<double>(amount) / freed);
  return std::clamp(delay, kForecastMin, kForecastMax);
}

double RoomForecast::DecayedTo(absl::Time now) const {
  const double age = absl::FDivDuration(now - updated_, kForecastWindow);
  return freed_ * std::exp(-std::max(age, 0.0));
}

}  // namespace tandem
