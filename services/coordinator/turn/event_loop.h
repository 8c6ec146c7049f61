// A queue of closures and timers that one thread works off: all state of
// sessions and of their turns lives on it, so that turn logic needs no lock.
//
// Post may be called from any thread (gRPC's callbacks only post); everything
// else belongs to the loop's thread. Time is monotonic and comes through Clock,
// so that a test can run a loop by hand over a clock that it moves.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_EVENT_LOOP_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_EVENT_LOOP_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/monotonic_clock.h"

namespace tandem {

using MonotonicTime = std::chrono::steady_clock::time_point;
using MonotonicDuration = std::chrono::steady_clock::duration;

inline int64_t Micros(MonotonicDuration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration)
      .count();
}

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  // The machine's monotonic clock.
  static const Clock* System();
};

class EventLoop {
 public:
  using Closure = absl::AnyInvocable<void()>;
  // A timer that was set; sequence 0: none.
  struct TimerId {
    MonotonicTime when;
    uint64_t sequence = 0;
  };

  // `clock` outlives the loop.
  explicit EventLoop(const Clock* clock = Clock::System()) : clock_(clock) {}

  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs `closure` on the loop after those posted before; any thread. The queue
  // has no limit of its own: every poster has few closures at a time (one per
  // read, write and end of a stream), so streams bound it. What is posted after
  // Stop is destroyed with the loop.
  void Post(Closure closure);

  MonotonicTime Now() const { return clock_->Now(); }

  // Runs `closure` at `when`, or at once if that is past. Loop only.
  TimerId SetTimer(MonotonicTime when, Closure closure);
  // Forgets the timer; nothing if it has run. Loop only.
  void CancelTimer(TimerId* timer);

  // Works until Stop. Loop only (this makes the caller the loop's thread).
  void Run();
  // Ends Run after the closures that stand in the queue; any thread.
  void Stop();

  // Runs what is queued and what is due, once, without waiting: for tests that
  // drive the loop by hand. False if there was nothing.
  bool RunReady();
  // When the next timer is due.
  std::optional<MonotonicTime> NextTimer() const;

 private:
  bool RunTimers();

  const Clock* const clock_;

  TimedWait changed_;
  absl::Mutex mutex_;
  std::vector<Closure> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Loop only.
  uint64_t last_sequence_ = 0;
  std::map<std::pair<MonotonicTime, uint64_t>, Closure> timers_;
};

// A loop with its thread. Owned by the server; any thread may call.
class EventLoopThread {
 public:
  EventLoopThread() : thread_([this] { loop_.Run(); }) {}
  ~EventLoopThread() { Stop(); }

  EventLoopThread(const EventLoopThread&) = delete;
  EventLoopThread& operator=(const EventLoopThread&) = delete;

  EventLoop* loop() { return &loop_; }
  // Ends the thread; not from the loop.
  void Stop();

 private:
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_EVENT_LOOP_H_
