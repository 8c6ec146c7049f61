#include "services/coordinator/turn/event_loop.h"

#include <utility>

#include "engine/base/check.h"

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
  bool was_empty = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    was_empty = queue_.empty();
    queue_.push_back(std::move(closure));
  }
  if (was_empty) wake_.notify_one();
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
    std::lock_guard<std::mutex> lock(mutex_);
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
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      const auto ready = [this] { return stopping_ || !queue_.empty(); };
      if (timers_.empty()) {
        wake_.wait(lock, ready);
      } else {
        wake_.wait_until(lock, timers_.begin()->first.first, ready);
      }
      if (stopping_ && queue_.empty()) return;
    }
    RunReady();
  }
}

void EventLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

EventLoops::EventLoops(int threads) {
  TANDEM_CHECK(threads >= 1);
  for (int i = 0; i < threads; ++i) {
    loops_.push_back(std::make_unique<EventLoop>());
    threads_.emplace_back([loop = loops_.back().get()] { loop->Run(); });
  }
}

std::vector<EventLoop*> EventLoops::loops() const {
  std::vector<EventLoop*> loops;
  for (const std::unique_ptr<EventLoop>& loop : loops_) {
    loops.push_back(loop.get());
  }
  return loops;
}

void EventLoops::Stop() {
  for (const std::unique_ptr<EventLoop>& loop : loops_) loop->Stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace tandem
