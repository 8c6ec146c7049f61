#include "services/coordinator/client/return_times.h"

#include <algorithm>
#include <cmath>

namespace tandem {
namespace {

// Part of the window that `duration` is.
double Windows(MonotonicDuration duration) {
  return std::chrono::duration<double>(duration) /
         std::chrono::duration<double>(ReturnTimes::kRateWindow);
}

MonotonicDuration Times(MonotonicDuration duration, double factor) {
  return std::chrono::duration_cast<MonotonicDuration>(
      std::chrono::duration<double>(duration) * factor);
}

}  // namespace

void ReturnTimes::OnServed(MonotonicTime now) {
  if (began_ == MonotonicTime()) began_ = updated_ = now;
  served_ = served_ * std::exp(-Windows(now - updated_)) + 1;
  updated_ = now;
}

MonotonicDuration ReturnTimes::Interval(MonotonicTime now) const {
  const double served = served_ * std::exp(-Windows(now - updated_));
  // What lies before the beginning is no part of the window. A rate of less
  // than one in the longest wait says nothing.
  const double seen = 1 - std::exp(-Windows(now - began_));
  if (served * Windows(kWaitMax) < seen) return MonotonicDuration::zero();
  return Times(kRateWindow, seen / served);
}

MonotonicDuration ReturnTimes::Next(MonotonicDuration least,
                                    MonotonicTime now) {
  return NextEvery({.least = least, .interval = Interval(now)}, now);
}

MonotonicDuration ReturnTimes::NextEvery(const Spacing& spacing,
                                         MonotonicTime now) {
  last_ = std::min(std::max(last_, now) + spacing.interval, now + kWaitMax);
  const MonotonicDuration wait =
      std::max({last_ - now, spacing.least, kWaitMin});
  // Those that were told one time, at the longest wait or by refusers that know
  // no better, come back spread over half of it.
  std::uniform_real_distribution<double> drawn(1.0, 1.5);
  return Times(wait, drawn(random_));
}

}  // namespace tandem
