#include "services/gateway/http/deadline_timer.h"

namespace tandem::gateway {

void DeadlineTimer::Set(absl::Duration from_now) {
  deadline_ =
      std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(from_now);
  if (deadline_ < armed_) Arm(deadline_);
}

void DeadlineTimer::Stop() {
  deadline_ = TimePoint::max();
  armed_ = TimePoint::min();  // Set arms it no more
  timer_.cancel();
}

void DeadlineTimer::Arm(TimePoint end) {
  armed_ = end;
  timer_.expires_at(end);
  timer_.async_wait(
      [this, owner = owner_](const boost::system::error_code& error) {
        if (error) return;  // moved or stopped
        const std::shared_ptr<void> alive = owner.lock();
        if (alive != nullptr) OnTimer();
      });
}

void DeadlineTimer::OnTimer() {
  const TimePoint now = std::chrono::steady_clock::now();
  if (now < armed_) return;  // moved while this waited for its turn
  if (armed_ == TimePoint::min()) return;
  armed_ = TimePoint::max();
  if (deadline_ <= now) {
    reached_();
  } else if (deadline_ != TimePoint::max()) {
    Arm(deadline_);
  }
}

}  // namespace tandem::gateway
