// When clients that are refused should come back, so that a crowd does not come
// back at one moment. Owned by the turn quotas; the event loop's; time is
// given.
//
// The refused stand in a line that nobody keeps but this: each gets the time
// after the one before, at the rate at which turns were let in lately, a
// window of kRateWindow that fades. So it counts those that were told to come
// back and are not here yet.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_RETURN_TIMES_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_RETURN_TIMES_H_

#include <chrono>
#include <cstdint>
#include <random>

#include "services/coordinator/turn/event_loop.h"

namespace tandem {

class ReturnTimes {
 public:
  static constexpr MonotonicDuration kRateWindow = std::chrono::seconds(10);
  // What is told: the first, and the last before the half on top that is drawn.
  // A place that comes free is not left empty for longer than that.
  static constexpr MonotonicDuration kWaitMin = std::chrono::milliseconds(100);
  static constexpr MonotonicDuration kWaitMax = std::chrono::seconds(20);

  // `seed` is of the draws.
  explicit ReturnTimes(uint32_t seed) : random_(seed) {}

  // One that waited or would have waited is served. `now` never goes back.
  void OnServed(MonotonicTime now);
  // Between two that are served; zero: not known.
  MonotonicDuration Interval(MonotonicTime now) const;
  // For one that is refused now and can not be served before `least`, as far
  // as its refuser knows.
  MonotonicDuration Next(MonotonicDuration least, MonotonicTime now);
  // The same where those of this line are served every `interval`.
  struct Spacing {
    MonotonicDuration least = {};
    MonotonicDuration interval = {};
  };
  MonotonicDuration NextEvery(const Spacing& spacing, MonotonicTime now);

 private:
  std::minstd_rand random_;
  MonotonicTime last_ = {};     // told
  MonotonicTime began_ = {};    // the first that was served
  MonotonicTime updated_ = {};  // of served_
  double served_ = 0;           // in the window, at updated_
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_RETURN_TIMES_H_
