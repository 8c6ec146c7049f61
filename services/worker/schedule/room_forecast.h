// How long until so much room is free, by what became free lately. Owned by
// the compute loop; one thread; time is given.
//
// The rate is that of the last kForecastWindow, newer room weighing more (an
// exponential window, corrected for what lies before the first event).

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_ROOM_FORECAST_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_ROOM_FORECAST_H_

#include <cstdint>

#include "absl/time/time.h"

namespace tandem {

inline constexpr absl::Duration kForecastWindow = absl::Seconds(10);
inline constexpr absl::Duration kForecastMin = absl::Milliseconds(100);
inline constexpr absl::Duration kForecastMax = absl::Seconds(30);
// While nothing is known.
inline constexpr absl::Duration kForecastUnknown = absl::Seconds(1);

class RoomForecast {
 public:
  // The worker begins to have what may be freed: time before does not count.
  explicit RoomForecast(absl::Time now) : began_(now), updated_(now) {}

  // So many pages, or places, became free. `now` never goes back.
  void OnFreed(absl::Time now, int64_t amount);
  // Until `amount` more may be free: kForecastMin .. kForecastMax.
  absl::Duration DelayFor(absl::Time now, int64_t amount) const;

 private:
  double DecayedTo(absl::Time now) const;

  absl::Time began_;
  absl::Time updated_;
  double freed_ = 0;  // weighted, at updated_
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_ROOM_FORECAST_H_
