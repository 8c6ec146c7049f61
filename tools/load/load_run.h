// One run of a load against a target: starts turns as the options say and
// collects what comes of them.
//
// Run is called once, on the thread that decides everything; observers of
// turns, on the target's threads, only count and enqueue. Stop may be called
// from any thread.

#ifndef TANDEM_TOOLS_LOAD_LOAD_RUN_H_
#define TANDEM_TOOLS_LOAD_LOAD_RUN_H_

#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tools/load/load_options.h"
#include "tools/load/load_recorder.h"
#include "tools/load/load_target.h"

namespace tandem::load {

// After a turn that failed its session waits, so that a server that refuses is
// not flooded.
inline constexpr std::chrono::milliseconds kPauseAfterFailure{100};
// Turns that were cancelled and have not ended after this long are aborted.
inline constexpr std::chrono::seconds kCancelGrace{5};
inline constexpr std::chrono::seconds kProgressInterval{1};

struct LoadProgress {
  double seconds = 0;  // since the run began
  int turns_running = 0;
  LoadFigures figures;  // so far, warm-up left out
};

class LoadRun {
 public:
  // `target` outlives the run. `on_progress` is called by Run once a second;
  // may be empty.
  LoadRun(const LoadOptions& options, const TurnSource& source,
          LoadTarget* target,
          std::function<void(const LoadProgress&)> on_progress);
  ~LoadRun();

  LoadRun(const LoadRun&) = delete;
  LoadRun& operator=(const LoadRun&) = delete;

  // Until all turns have ended; what was seen, also after Stop.
  LoadFigures Run();
  // Ends the run as its duration would.
  void Stop();

 private:
  class Slot;
  // When a slot's next turn is due.
  struct Due {
    Clock::time_point when;
    Slot* slot = nullptr;
    friend bool operator>(const Due& a, const Due& b) {
      return a.when > b.when;
    }
  };

  void StartSessions();
  // Runs what is due at `now`.
  void StartDueTurns(Clock::time_point now);
  void Arrive(Clock::time_point when);
  void StartTurn(Slot* slot, Clock::time_point began);
  void HandleEnds(Clock::time_point now);
  void HandleEnd(Slot* slot, Clock::time_point now);
  bool MayStart() const;
  void BeginStopping(Clock::time_point now);
  void Tell(Clock::time_point now);
  bool IsOver() const;
  Clock::time_point NextWake(Clock::time_point now) const;
  // Returns whether Stop was called.
  bool WaitUntil(Clock::time_point when);
  // Any thread: `slot`'s turn is over.
  void Enqueue(Slot* slot);

  const LoadOptions options_;
  const TurnSource source_;
  LoadTarget* const target_;
  const std::function<void(const LoadProgress&)> on_progress_;

  absl::Mutex mutex_;
  std::deque<Slot*> ended_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  // The run's thread alone.
  std::unique_ptr<LoadRecorder> recorder_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_slots_;
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  PoissonArrivals arrivals_;
  Clock::time_point began_;
  Clock::time_point next_arrival_ = Clock::time_point::max();
  Clock::time_point next_progress_;
  Clock::time_point abort_at_ = Clock::time_point::max();
  Clock::time_point stopped_at_ = Clock::time_point::max();
  int64_t sessions_begun_ = 0;
  int64_t turns_started_ = 0;
  int turns_running_ = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_RUN_H_
