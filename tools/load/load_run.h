// One run of a load against a target.
//
// Run is called once, on the thread that decides everything; observers of
// turns, on the target's threads, only count and enqueue. Stop may be called
// from any thread.

#ifndef TANDEM_TOOLS_LOAD_LOAD_RUN_H_
#define TANDEM_TOOLS_LOAD_LOAD_RUN_H_

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tools/load/load_figures.h"
#include "tools/load/load_target.h"
#include "tools/load/turn_source.h"

namespace tandem::load {

using Clock = std::chrono::steady_clock;

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

  // A place for a session; null where all are taken.
  Slot* TakePlace();
  // A Poisson process chooses when the session after the one at `when` begins.
  void PushArrivalAfter(Clock::time_point when);
  void StartDueTurns(Clock::time_point now);
  void StartTurn(Slot* slot, Clock::time_point began);
  void HandleEnds(Clock::time_point now);
  // What happens in the warm-up is not counted.
  bool Counts(Clock::time_point now) const {
    return now >= began_ + options_.warmup;
  }
  // The figures of the counted time until `now`.
  LoadFigures FiguresAt(Clock::time_point now);
  bool MayStart() const;
  void BeginStopping(Clock::time_point now);
  void Report(Clock::time_point now);
  // Returns at the next deadline or event: whether Stop was called.
  bool Wait();

  const LoadOptions options_;
  const TurnSource source_;
  LoadTarget* const target_;
  const std::function<void(const LoadProgress&)> on_progress_;

  absl::Mutex mutex_;
  std::vector<Slot*> ended_ ABSL_GUARDED_BY(mutex_);
  LoadFigures figures_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  // The run's thread alone, but for began_, which is set before a turn starts.
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<Slot*> free_slots_;  // of an open loop
  // Slots' next turns, and, as null, the arrival of a session.
  std::multimap<Clock::time_point, Slot*> due_;
  std::mt19937_64 arrivals_;
  Clock::time_point began_;
  Clock::time_point next_progress_;
  Clock::time_point abort_at_ = Clock::time_point::max();
  Clock::time_point stopped_at_ = Clock::time_point::max();
  int64_t sessions_begun_ = 0;
  int64_t turns_started_ = 0;
  int turns_running_ = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_RUN_H_
