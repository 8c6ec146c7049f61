#include "services/coordinator/turn/event_loop.h"

#include <utility>

#include "absl/time/time.h"

namespace tandem {
namespace {

class SystemClock : public Clock {
 public:
  MonotonicTime Now() const override {
    return std::chrono::steady_clock::now();
  }
};

}  // namespace

const Clock* Clock::System() {
  static const SystemClock clock;
  return &clock;
}

void EventLoop::Post(Closure closure) {
  const absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(closure));
  // With the lock held: what the closure does may end the loop.
  changed_.Notify();
}

EventLoop::TimerId EventLoop::SetTimer(MonotonicTime when, Closure closure) {
  const TimerId timer{.when = when, .sequence = ++last_sequence_};
  timers_.emplace(std::pair(when, timer.sequence), std::move(closure));
  return timer;
}

void EventLoop::CancelTimer(TimerId* timer) {
  timers_.erase(std::pair(timer->when, timer->sequence));
  *timer = TimerId();
}

bool EventLoop::RunTimers() {
  const MonotonicTime now = Now();
  bool ran = false;
  // Timers set by a closure for a past time wait for the next round, so that a
  // timer that sets itself again can not hold the loop.
  const uint64_t last = last_sequence_;
  auto next = timers_.begin();
  while (next != timers_.end() && next->first.first <= now) {
    if (next->first.second > last) {
      ++next;
      continue;
    }
    Closure closure = std::move(next->second);
    timers_.erase(next);
    closure();
    ran = true;
    next = timers_.begin();
  }
  return ran;
}

bool EventLoop::RunReady() {
  std::vector<Closure> ready;
  {
    const absl::MutexLock lock(&mutex_);
    ready.swap(queue_);
  }
  for (Closure& closure : ready) {
    closure();
    closure = nullptr;  // what it holds goes before the next one runs
  }
  const bool ran_timers = RunTimers();
  return ran_timers || !ready.empty();
}

std::optional<MonotonicTime> EventLoop::NextTimer() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

void EventLoop::Run() {
  const auto is_ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  };
  while (true) {
    absl::Time end = absl::InfiniteFuture();
    if (const std::optional<MonotonicTime> timer = NextTimer()) {
      end = MonotonicNow() + absl::FromChrono(*timer - Now());
    }
    {
      const absl::MutexLock lock(&mutex_);
      changed_.Await(&mutex_, end, is_ready);
      if (stopping_ && queue_.empty()) return;
    }
    RunReady();
  }
}

void EventLoop::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopping_ = true;
  changed_.Notify();
}

void EventLoopThread::Stop() {
  if (!thread_.joinable()) return;
  loop_.Stop();
  thread_.join();
}

}  // namespace tandem
