// A deadline that is moved often and reached rarely: moving it costs no work of
// the timer's, which runs to the deadline of before and is set again then. A
// stream moves its deadline with each event.
//
// Owned by what has the deadline, on whose strand all of it runs.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_DEADLINE_TIMER_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_DEADLINE_TIMER_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

#include "absl/time/time.h"

namespace tandem::gateway {

class DeadlineTimer {
 public:
  // `strand`: of the owner.
  explicit DeadlineTimer(const boost::asio::any_io_executor& strand)
      : timer_(strand) {}

  DeadlineTimer(const DeadlineTimer&) = delete;
  DeadlineTimer& operator=(const DeadlineTimer&) = delete;

  // `owner` holds this; `reached` is called while it lives. Once, before Set.
  void SetOwner(std::weak_ptr<void> owner, std::function<void()> reached) {
    owner_ = std::move(owner);
    reached_ = std::move(reached);
  }
  // Moves the deadline to `from_now`.
  void Set(absl::Duration from_now);
  // No deadline until the next Set.
  void Clear() { deadline_ = TimePoint::max(); }
  // No deadline, for good.
  void Stop();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  void Arm(TimePoint end);
  void OnTimer();

  boost::asio::steady_timer timer_;
  std::weak_ptr<void> owner_;
  std::function<void()> reached_;
  TimePoint deadline_ = TimePoint::max();
  TimePoint armed_ = TimePoint::max();  // what the timer runs to
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_DEADLINE_TIMER_H_
